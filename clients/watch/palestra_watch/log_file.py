"""An append-only file of checksummed records.

Owns the framing. A record cut off by a kill or a power failure at the end is
dropped; damage before the end is refused, for then something that was durable
is gone. Decides nothing about what the records mean.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

MAGIC = b"PALSPL01"
_HEAD = struct.Struct("<IIB")
"""Length of the payload, CRC-32 of kind and payload, kind."""
_LARGEST = 16 * 1024 * 1024


class SpoolDamaged(Exception):
    """Something that was durable cannot be read any more."""


Record = tuple[int, bytes]
"""Kind and payload."""


def framed(kind: int, payload: bytes) -> bytes:
    """The record as it stands in the file."""
    if len(payload) > _LARGEST:
        raise ValueError(f"a record of {len(payload)} bytes is too large")
    crc = zlib.crc32(payload, zlib.crc32(bytes((kind,))))
    return _HEAD.pack(len(payload), crc, kind) + payload


class LogFile:
    """One open file, for reading anywhere and writing at its end."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file; drops a torn end.

        Raises:
            SpoolDamaged: a record before the end is damaged, or it is another file.
        """
        self._path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = 0
        try:
            self._start()
        except BaseException:
            os.close(self._handle)
            raise

    @property
    def size(self) -> int:
        """In bytes."""
        return self._end

    def records(self) -> Iterator[tuple[int, int, bytes]]:
        """Offset of the payload, kind and payload of each whole record; trims a torn end."""
        size = os.fstat(self._handle).st_size
        at = len(MAGIC)
        while at < size:
            found = self._record_at(at, size)
            if found is None:
                os.ftruncate(self._handle, at)
                break
            kind, payload = found
            yield at + _HEAD.size, kind, payload
            at += _HEAD.size + len(payload)
        self._end = at

    def append(self, kind: int, payload: bytes) -> int:
        """Writes a record, not yet safe from power failure; the offset of its payload."""
        frame = framed(kind, payload)
        at = self._end
        _write_all(self._handle, frame, at)
        self._end += len(frame)
        return at + _HEAD.size

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes of a payload."""
        return os.pread(self._handle, length, offset)

    def sync(self) -> None:
        """Makes everything written safe from power failure."""
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._handle)

    def _start(self) -> None:
        head = os.pread(self._handle, len(MAGIC), 0)
        if head != MAGIC:
            if not MAGIC.startswith(head):
                raise SpoolDamaged(f"{self._path} is no spool of this companion")
            os.ftruncate(self._handle, 0)
            _write_all(self._handle, MAGIC, 0)
            os.fsync(self._handle)
            sync_folder(self._path.parent)
        self._end = len(MAGIC)

    def _record_at(self, at: int, size: int) -> Record | None:
        """The record at `at`; None where the file ends within it."""
        head = os.pread(self._handle, _HEAD.size, at)
        if len(head) == _HEAD.size:
            length, crc, kind = _HEAD.unpack(head)
            whole = length <= _LARGEST and at + _HEAD.size + length <= size
            payload = os.pread(self._handle, length, at + _HEAD.size) if whole else b""
            if whole and zlib.crc32(payload, zlib.crc32(bytes((kind,)))) == crc:
                return kind, payload
            if whole and at + _HEAD.size + length < size and not self._only_zeros(at, size):
                raise SpoolDamaged(f"{self._path} is damaged at byte {at}")
        return None

    def _only_zeros(self, at: int, size: int) -> bool:
        """A file system may have lengthened the file and not yet filled it."""
        return not any(os.pread(self._handle, min(size - at, _LARGEST), at))


def replace_with(path: Path, records: Iterable[Record]) -> LogFile:
    """Puts a file of `records` in the place of `path`, wholly or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    file = LogFile(fresh)
    try:
        for kind, payload in records:
            file.append(kind, payload)
        file.sync()
        fresh.replace(path)
        sync_folder(path.parent)
    except BaseException:
        file.close()
        raise
    return file


def sync_folder(folder: Path) -> None:
    """Makes the folder's entries safe from power failure."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
