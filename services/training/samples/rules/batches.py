"""Whether a batch may be stored.

Owns the bounds of a batch. Decides from sizes, indices and the few values that could
poison what is computed later (times, non-finite floats). Never decodes more than it
must: this runs for every batch of every athlete, at a few microseconds each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from services.training.samples.rules.channels import ChannelSpec, Encoding
from services.training.samples.rules.errors import BatchMalformed, BatchTooLarge

MAX_SAMPLES: Final = 3_600
MAX_COLUMNS: Final = 64
MAX_SEQ: Final = 2**63 - 1
EARLIEST_MS: Final = 631_152_000_000
"""1990-01-01T00:00:00Z; FIT's own epoch is 1989-12-31, which is a clock never set."""
LATEST_MS: Final = 4_102_444_800_000
"""2100-01-01T00:00:00Z."""


class RawColumn(NamedTuple):
    """A channel's packed raw values, little-endian, one for each sample.

    A named tuple and not a dataclass: eight are made for each batch, and a frozen
    dataclass costs four times as much to make.
    """

    channel: int
    values: bytes
    validity: bytes = b""


class RawBatch(NamedTuple):
    """A batch as it came: times in ms since 1970, deltas as packed int32."""

    seq: int
    first_time_ms: int
    time_deltas_ms: bytes
    columns: Sequence[RawColumn]

    @property
    def samples(self) -> int:
        """How many samples it holds."""
        return len(self.time_deltas_ms) // 4


def check_batch(batch: RawBatch, channels: Sequence[ChannelSpec]) -> int:
    """The number of samples, where the batch may be stored under these channels.

    Raises BatchTooLarge or BatchMalformed; both carry the batch's `seq` and the `field`.
    An empty batch is malformed: it would use up a sequence number to say nothing.
    """
    seq = batch.seq
    count, rest = divmod(len(batch.time_deltas_ms), 4)
    if not 1 <= seq <= MAX_SEQ:
        raise BatchMalformed(f"sequence numbers begin at 1, this is {seq}", field="seq")
    if count > MAX_SAMPLES:
        raise BatchTooLarge(
            f"{count} samples, at most {MAX_SAMPLES}", seq=seq, field="time_deltas_ms"
        )
    if rest or not count:
        size = len(batch.time_deltas_ms)
        raise BatchMalformed(
            f"{size} bytes are no column of int32 times", seq=seq, field="time_deltas_ms"
        )
    _check_times(batch, count)
    _check_columns(batch, count, channels)
    return count


def _check_times(batch: RawBatch, count: int) -> None:
    first = batch.first_time_ms
    deltas = np.frombuffer(batch.time_deltas_ms, dtype="<i4")
    if deltas[0]:
        raise BatchMalformed(
            f"the first sample's delta is {deltas[0]}, not 0", seq=batch.seq, field="time_deltas_ms"
        )
    # The widest the times could spread decides nearly always; only then sum exactly.
    low, high = int(np.minimum.reduce(deltas)), int(np.maximum.reduce(deltas))
    if first + count * low >= EARLIEST_MS and first + count * high < LATEST_MS:
        return
    offsets = np.cumsum(deltas, dtype=np.int64)
    if not (first + int(offsets.min()) >= EARLIEST_MS and first + int(offsets.max()) < LATEST_MS):
        raise BatchMalformed(
            "a sample's time is outside the years 1990 to 2099",
            seq=batch.seq,
            field="first_time_ms",
        )


def _check_columns(batch: RawBatch, count: int, channels: Sequence[ChannelSpec]) -> None:
    columns = batch.columns
    if len(columns) > MAX_COLUMNS:
        raise BatchTooLarge(
            f"{len(columns)} columns, at most {MAX_COLUMNS}", seq=batch.seq, field="columns"
        )
    known, validity_size, int32_size = len(channels), (count + 7) // 8, 4 * count
    seen = 0
    floats: list[bytes] = []
    for index, values, validity in columns:
        bit = 1 << index if 0 <= index < known else 0
        if not bit or seen & bit:
            raise _bad_index(batch, index, known)
        seen |= bit
        if channels[index].encoding is Encoding.INT32:
            fits = len(values) == int32_size
        else:
            fits = len(values) == 2 * int32_size
            floats.append(values)
        if not fits or (validity and len(validity) != validity_size):
            raise _bad_size(batch, RawColumn(index, values, validity), count, channels[index])
    if floats and not np.logical_and.reduce(np.isfinite(np.frombuffer(b"".join(floats), "<f8"))):
        _refuse_non_finite(batch, count, channels)


def _refuse_non_finite(batch: RawBatch, count: int, channels: Sequence[ChannelSpec]) -> None:
    """A NaN is allowed where the validity says that nothing was measured, only there."""
    for column in batch.columns:
        if channels[column.channel].encoding is not Encoding.FLOAT64:
            continue
        bad = ~np.isfinite(np.frombuffer(column.values, "<f8"))
        if column.validity:
            bits = np.frombuffer(column.validity, np.uint8)
            bad &= np.unpackbits(bits, count=count, bitorder="little").astype(bool)
        if bad.any():
            name, at = channels[column.channel].name, int(bad.argmax())
            raise BatchMalformed(
                f"sample {at} of {name} is not a finite number", seq=batch.seq, field="columns"
            )


def _bad_index(batch: RawBatch, index: int, known: int) -> BatchMalformed:
    if 0 <= index < known:
        return BatchMalformed(f"channel {index} is there twice", seq=batch.seq, field="columns")
    return BatchMalformed(
        f"there is no channel {index}, the session has {known}", seq=batch.seq, field="columns"
    )


def _bad_size(
    batch: RawBatch, column: RawColumn, count: int, channel: ChannelSpec
) -> BatchMalformed:
    wanted = channel.encoding.width * count
    if len(column.values) != wanted:
        what = f"{len(column.values)} bytes of values, {count} samples need {wanted}"
    else:
        what = f"{len(column.validity)} bytes of validity, {count} samples need {(count + 7) // 8}"
    return BatchMalformed(f"{channel.name} has {what}", seq=batch.seq, field="columns")
