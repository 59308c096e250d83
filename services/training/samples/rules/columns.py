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

from services.training.samples.rules.channels import ChannelSpec, Encoding
from services.training.samples.rules.chunks import Lane, Pieces

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


def join(pieces: Pieces, channels: Sequence[ChannelSpec]) -> SessionColumns:
    """What `decode_chunk` cut under these channels, as columns of equal length."""
    counts = np.array(pieces.counts, dtype=np.int64)
    ends = np.cumsum(counts)
    starts = ends - counts
    place = _places_of_bits(starts, counts) if pieces.gapped else None
    return SessionColumns(
        _join_times(pieces, starts, counts),
        tuple(
            _join_column(spec, lane, place if channel in pieces.gapped else None)
            for channel, (spec, lane) in enumerate(zip(channels, pieces.lanes, strict=True))
        ),
    )


def _join_times(
    pieces: Pieces, starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Within each batch first + the running sum of its deltas, in one pass over all."""
    if not pieces.counts:
        return np.empty(0, dtype=np.int64)
    deltas = np.frombuffer(b"".join(pieces.time_deltas_ms), "<i4")
    running = np.cumsum(deltas, dtype=np.int64)
    first = np.array(pieces.first_time_ms, dtype=np.int64)
    return running + np.repeat(first - running[starts], counts)


def _places_of_bits(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each sample, which bit of all batches' validity is its: each begins a byte anew."""
    sizes = 8 * ((counts + 7) // 8)
    begins = np.cumsum(sizes) - sizes
    return np.arange(counts.sum(), dtype=np.int64) + np.repeat(begins - starts, counts)


def _join_column(spec: ChannelSpec, lane: Lane, place: NDArray[np.int64] | None) -> RawValues:
    dtype = np.dtype("<i4" if spec.encoding is Encoding.INT32 else "<f8")
    raw = np.frombuffer(b"".join(lane.values), dtype)
    if place is None:
        return RawValues(raw, None)
    bits = np.frombuffer(b"".join(lane.validity), np.uint8)
    return RawValues(raw, np.unpackbits(bits, bitorder="little")[place].view(np.bool_))


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
