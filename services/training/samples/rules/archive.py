"""The kept form of a finished session: one blob per channel and one for the times.

Owns the bytes that are read for years: each channel apart, so that one is read without
the others. Loses nothing: raw integers and doubles come back bit for bit, gaps as gaps,
a clock that was set back as it was. What stood in a gap is not kept: the gap repeats the
value before it, which packs to nothing. Refuses damaged input by a checksum.

A blob: magic 0xA1, version 1, kind, 1 where there is validity, count u32, size of the
unpacked body u32, CRC-32 of the fields before it and the frame u32, then one Zstandard
frame. Body: the validity bits (lowest first) where there are any, then the values: each
as the difference from the one before (integers: zigzag of the wrapped difference;
doubles: XOR of the bits), its bytes in planes, the lowest plane first.
"""

from __future__ import annotations

import struct
import threading
from enum import IntEnum
from typing import Any, Final
from zlib import crc32

import numpy as np
import zstandard
from numpy.typing import NDArray

from services.training.samples.rules.columns import RawValues
from services.training.samples.rules.errors import StoredBytesDamaged

MAX_ARCHIVE_SAMPLES: Final = 20_000_000
"""Over 200 days at 1 Hz; a blob that claims more is damaged, and is not unpacked."""
_MAGIC: Final = 0xA1
_VERSION: Final = 1
_LEVEL: Final = 3
_HEAD: Final = struct.Struct("<BBBBII")
_CRC: Final = struct.Struct("<I")
_PREFIX: Final = _HEAD.size + _CRC.size


class _Kind(IntEnum):
    INT32 = 1
    FLOAT64 = 2
    TIME = 3


_RAW: Final = {_Kind.INT32: "<i4", _Kind.FLOAT64: "<f8", _Kind.TIME: "<i8"}
# A decompressor of each thread's own: to make one takes half as long as to unpack a column.
_OF_THREAD: Final = threading.local()


def encode_column(column: RawValues) -> bytes:
    """A channel's blob, from int32 or float64 raw values."""
    kind = _Kind.INT32 if column.raw.dtype == np.int32 else _Kind.FLOAT64
    if column.valid is None or column.valid.all():
        return _encode(kind, column.raw, b"")
    bits = np.packbits(column.valid, bitorder="little").tobytes()
    return _encode(kind, _fill_gaps(column.raw, column.valid), bits)


def decode_column(blob: bytes) -> RawValues:
    """What `encode_column` was given, but for the values in gaps. StoredBytesDamaged else."""
    kind, raw, bits = _decode(blob)
    if kind is _Kind.TIME:
        raise StoredBytesDamaged("this blob holds times, not a channel")
    if not bits:
        return RawValues(raw, None)
    unpacked = np.unpackbits(np.frombuffer(bits, np.uint8), count=len(raw), bitorder="little")
    return RawValues(raw, unpacked.view(np.bool_))


def encode_times(time_ms: NDArray[np.int64]) -> bytes:
    """The blob of a session's times, ms since 1970."""
    return _encode(_Kind.TIME, time_ms, b"")


def decode_times(blob: bytes) -> NDArray[np.int64]:
    """What `encode_times` was given. StoredBytesDamaged for anything else."""
    kind, raw, _ = _decode(blob)
    if kind is not _Kind.TIME:
        raise StoredBytesDamaged("this blob holds a channel, not times")
    return raw


def _fill_gaps(raw: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
    """Each gap repeats the last value before it; a gap at the start is zero."""
    last = np.maximum.accumulate(np.where(valid, np.arange(len(raw)), -1))
    filled = raw[last]
    filled[last < 0] = 0
    return filled


def _encode(kind: _Kind, raw: NDArray[Any], bits: bytes) -> bytes:
    if len(raw) > MAX_ARCHIVE_SAMPLES:
        raise ValueError(f"{len(raw)} samples, at most {MAX_ARCHIVE_SAMPLES}")
    body = bits + _pack(kind, raw)
    frame = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False).compress(body)
    head = _HEAD.pack(_MAGIC, _VERSION, kind, bool(bits), len(raw), len(body))
    return b"".join((head, _CRC.pack(crc32(frame, crc32(head))), frame))


def _decode(blob: bytes) -> tuple[_Kind, NDArray[Any], bytes]:
    if len(blob) < _PREFIX:
        raise StoredBytesDamaged(f"{len(blob)} bytes are no archived column")
    magic, version, number, has_validity, count, size = _HEAD.unpack_from(blob)
    if magic != _MAGIC or version != _VERSION:
        raise StoredBytesDamaged(f"no archived column of version {_VERSION}")
    frame = memoryview(blob)[_PREFIX:]
    if crc32(frame, crc32(blob[: _HEAD.size])) != _CRC.unpack_from(blob, _HEAD.size)[0]:
        raise StoredBytesDamaged("the checksum of an archived column does not fit")
    # The checksum holds: from here on only what a mistaken writer made can be wrong.
    validity_size = (count + 7) // 8 if has_validity else 0
    if number not in _RAW or count > MAX_ARCHIVE_SAMPLES:
        raise StoredBytesDamaged(f"an archived column of kind {number} with {count} samples")
    kind = _Kind(number)
    if size != validity_size + count * np.dtype(_RAW[kind]).itemsize:
        raise StoredBytesDamaged(f"{count} samples do not fill {size} bytes")
    body = _unpack_frame(frame, size)
    return kind, _unpack(kind, body, validity_size, count), body[:validity_size]


def _unpack_frame(frame: memoryview, size: int) -> bytes:
    try:
        body = _decompressor().decompress(frame, max_output_size=size)
    except zstandard.ZstdError as error:
        raise StoredBytesDamaged(f"an archived column does not unpack: {error}") from error
    if len(body) != size:
        raise StoredBytesDamaged(f"an archived column unpacks to {len(body)} bytes, not {size}")
    return body


def _pack(kind: _Kind, raw: NDArray[Any]) -> bytes:
    """Differences from the value before (the first from zero), their bytes in planes."""
    width = np.dtype(_RAW[kind]).itemsize
    words = np.ascontiguousarray(raw, dtype=_RAW[kind]).view(f"<u{width}")
    coded = words.copy()
    if kind is _Kind.FLOAT64:
        coded[1:] ^= words[:-1]
    else:
        coded[1:] -= words[:-1]
        signed = coded.view(f"<i{width}")
        coded = ((signed << 1) ^ (signed >> (8 * width - 1))).view(f"<u{width}")
    return np.ascontiguousarray(coded.view(np.uint8).reshape(-1, width).T).tobytes()


def _decompressor() -> zstandard.ZstdDecompressor:
    made: zstandard.ZstdDecompressor | None = getattr(_OF_THREAD, "decompressor", None)
    if made is None:
        made = _OF_THREAD.decompressor = zstandard.ZstdDecompressor()
    return made


def _unpack(kind: _Kind, body: bytes, begin: int, count: int) -> NDArray[Any]:
    """The values whose planes begin at a place of the body."""
    width = np.dtype(_RAW[kind]).itemsize
    coded = _joined(body, begin, count, np.dtype(f"<u{width}"))
    if kind is _Kind.FLOAT64:
        return np.bitwise_xor.accumulate(coded).view("<f8")
    sign = coded & 1
    np.negative(sign, out=sign)
    coded >>= 1
    coded ^= sign
    return np.add.accumulate(coded, dtype=coded.dtype).view(_RAW[kind])


def _joined(body: bytes, begin: int, count: int, words: np.dtype[Any]) -> NDArray[Any]:
    """Words of their planes of bytes.

    Differences from second to second are small: most planes are empty, and pass by untouched.
    """
    joined = np.frombuffer(body, np.uint8, count, begin).astype(words)
    empty = bytes(count)
    for place in range(1, words.itemsize):
        start = begin + place * count
        if body[start : start + count] != empty:
            plane = np.frombuffer(body, np.uint8, count, start).astype(words)
            plane <<= 8 * place
            joined |= plane
    return joined
