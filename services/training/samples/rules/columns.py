"""Whole columns of a session, as arrays.

Owns the join of batches into one time column and one raw column per channel, and the
step from raw to measured values. Decides nothing; the order is that of the batches,
and a clock that was set back stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.training.samples.rules.batches import RawBatch
from services.training.samples.rules.channels import ChannelSpec, Encoding

Raw = NDArray[np.int32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RawValues:
    """A channel over a whole session. Where `valid` is false the raw value means nothing."""

    raw: Raw
    valid: NDArray[np.bool_] | None
    """One for each sample; None where all have a value."""


@dataclass(frozen=True, slots=True, eq=False)
class SessionColumns:
    """All samples of a session: `time_ms` int64 since 1970, one entry per described channel."""

    time_ms: NDArray[np.int64]
    channels: tuple[RawValues, ...]


def join_batches(batches: Sequence[RawBatch], channels: Sequence[ChannelSpec]) -> SessionColumns:
    """The batches, ordered by seq by the caller, as columns of equal length."""
    counts = np.array([batch.samples for batch in batches], dtype=np.int64)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(batches) else 0
    parts: list[list[tuple[int, bytes, bytes]]] = [[] for _ in channels]
    for position, batch in enumerate(batches):
        for channel, values, validity in batch.columns:
            parts[channel].append((position, values, validity))
    starts = ends - counts
    joined = tuple(
        _join_column(spec, part, starts, counts, total)
        for spec, part in zip(channels, parts, strict=True)
    )
    return SessionColumns(_join_times(batches, starts, counts, total), joined)


def _join_times(
    batches: Sequence[RawBatch], starts: NDArray[np.int64], counts: NDArray[np.int64], total: int
) -> NDArray[np.int64]:
    """Within each batch first + the running sum of its deltas, in one pass over all."""
    if not total:
        return np.empty(0, dtype=np.int64)
    deltas = np.frombuffer(b"".join([b.time_deltas_ms for b in batches]), "<i4")
    running = np.cumsum(deltas, dtype=np.int64)
    first = np.array([batch.first_time_ms for batch in batches], dtype=np.int64)
    return running + np.repeat(first - running[starts], counts)


def _join_column(
    spec: ChannelSpec,
    parts: Sequence[tuple[int, bytes, bytes]],
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
    total: int,
) -> RawValues:
    dtype = np.dtype("<i4" if spec.encoding is Encoding.INT32 else "<f8")
    if len(parts) == len(counts) and not any(validity for _, _, validity in parts):
        return RawValues(np.frombuffer(b"".join([v for _, v, _ in parts]), dtype), None)
    raw, valid = np.zeros(total, dtype=dtype), np.zeros(total, dtype=np.bool_)
    for position, values, validity in parts:
        start, count = int(starts[position]), int(counts[position])
        raw[start : start + count] = np.frombuffer(values, dtype)
        valid[start : start + count] = (
            np.unpackbits(np.frombuffer(validity, np.uint8), count=count, bitorder="little")
            if validity
            else True
        )
    return RawValues(raw, valid)


def measured(spec: ChannelSpec, column: RawValues) -> NDArray[np.float64]:
    """Value = raw * scale + offset in the channel's unit; NaN where nothing was measured."""
    values = column.raw.astype(np.float64)
    if spec.scale != 1.0:
        values *= spec.scale
    if spec.offset:
        values += spec.offset
    if column.valid is not None:
        values[~column.valid] = np.nan
    return values
