"""Rows -> Batch messages, and back.

Decides where a batch ends: by samples, by device time, and where a time delta
would not fit its four bytes. Never reorders or rewrites a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from palestra.training.v1.telemetry_pb2 import Batch, Column
from palestra_watch.recording import Channel, Recording

LARGEST = 600
"""The samples of one batch, whatever the server would take."""
USUAL = 300
"""The same until the server has said what it takes."""
_DELTA_MS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a batch may become."""

    samples: int
    span_ms: int | None = None
    """Device time that it covers: a sample so long after its first is in the next one."""


def end_of_batch(time_ms: npt.NDArray[np.int64], first: int, limits: Limits) -> int:
    """The row after the last one of the batch that begins at row `first`."""
    window = time_ms[first : first + limits.samples]
    deltas = np.diff(window)
    cuts = np.abs(deltas) > _DELTA_MS
    if limits.span_ms is not None:
        cuts |= np.abs(window[1:] - window[0]) >= limits.span_ms
    where = np.flatnonzero(cuts)
    return first + (int(where[0]) + 1 if len(where) else len(window))


def batch_of(recording: Recording, seq: int, first: int, end: int) -> Batch:
    """Rows `first` to `end` as the batch `seq`."""
    times = recording.time_ms[first:end]
    batch = Batch(
        seq=seq,
        first_time_ms=int(times[0]),
        time_deltas_ms=np.diff(times, prepend=times[:1]).astype("<i4").tobytes(),
    )
    for index, channel in enumerate(recording.channels):
        valid = channel.valid[first:end]
        if valid.any():
            batch.columns.append(_column(index, channel, first, end))
    return batch


def _column(index: int, channel: Channel, first: int, end: int) -> Column:
    valid = channel.valid[first:end]
    bits = b"" if valid.all() else np.packbits(valid, bitorder="little").tobytes()
    return Column(channel=index, values=channel.raw[first:end].tobytes(), validity=bits)


def sample_count(batch: Batch) -> int:
    """The samples that the batch holds."""
    return len(batch.time_deltas_ms) // 4


def split(batch: Batch, largest: int) -> Iterator[Batch]:
    """The same samples in batches of at most `largest`; all with the first one's seq."""
    deltas = np.frombuffer(batch.time_deltas_ms, dtype="<i4").astype(np.int64)
    times = batch.first_time_ms + np.cumsum(deltas)
    count = len(deltas)
    for first in range(0, count, largest):
        end = min(first + largest, count)
        own = deltas[first:end].copy()
        own[0] = 0
        part = Batch(
            seq=batch.seq,
            first_time_ms=int(times[first]),
            time_deltas_ms=own.astype("<i4").tobytes(),
        )
        for column in batch.columns:
            if (piece := _piece(column, count, first, end)) is not None:
                part.columns.append(piece)
        yield part


def _piece(column: Column, count: int, first: int, end: int) -> Column | None:
    width = len(column.values) // count
    values = column.values[first * width : end * width]
    if not column.validity:
        return Column(channel=column.channel, values=values)
    valid = validity(column, count)[first:end]
    if not valid.any():
        return None
    bits = b"" if valid.all() else np.packbits(valid, bitorder="little").tobytes()
    return Column(channel=column.channel, values=values, validity=bits)


def validity(column: Column, count: int) -> npt.NDArray[np.bool_]:
    """Which of the column's samples have a value."""
    if not column.validity:
        return np.ones(count, dtype=np.bool_)
    bits = np.frombuffer(column.validity, dtype=np.uint8)
    return np.unpackbits(bits, count=count, bitorder="little").astype(np.bool_)
