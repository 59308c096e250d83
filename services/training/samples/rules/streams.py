"""Samples for drawing.

Owns the thinning to a number of points and the decimals that a channel has. Decides
which samples stay; never makes a value up: each point is a sample as it was recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

DEFAULT_RESOLUTION: Final = 1_000
_MOST_DECIMALS: Final = 9


@dataclass(frozen=True, slots=True, eq=False)
class Streams:
    """`time_ms` since the start of the activity; each channel as long, NaN in gaps."""

    time_ms: NDArray[np.int64]
    channels: Mapping[str, Floats]
    parts: NDArray[np.int32] | None = None
    """The stretch that each sample belongs to, where something between them is not shown."""

    def kept(self, which: Indices | NDArray[np.bool_]) -> Streams:
        """Some of the samples."""
        channels = {name: values[which] for name, values in self.channels.items()}
        parts = None if self.parts is None else self.parts[which]
        return Streams(self.time_ms[which], channels, parts)

    @property
    def cuts(self) -> list[int] | None:
        """The samples before which something is not shown; None where all is shown."""
        if self.parts is None:
            return None
        cuts: list[int] = (np.flatnonzero(np.diff(self.parts)) + 1).tolist()
        return cuts


def downsample(streams: Streams, resolution: int = DEFAULT_RESOLUTION) -> Streams:
    """At most `resolution` points in the recorded order; all where it is 0.

    The first and the last sample stay (of one point, the first). The rest is cut into
    stretches of equally many samples, and of each the smallest and the largest value of
    every channel stay, which needs 2 + 2 · channels points at the least; below that,
    and where points are left, samples at even distances are taken. ValueError where
    `resolution` is negative.
    """
    if resolution < 0:
        raise ValueError(f"a resolution of {resolution} points")
    count = len(streams.time_ms)
    if resolution == 0 or count <= resolution:
        return streams
    return streams.kept(_kept(list(streams.channels.values()), count, resolution))


def _kept(columns: Sequence[Floats], count: int, resolution: int) -> Indices:
    """The indices of the samples that stay, in order; 1 ≤ resolution < count."""
    chosen = np.zeros(count, dtype=np.bool_)
    chosen[0] = True
    if resolution > 1:
        chosen[-1] = True
    stretches = (resolution - 2) // (2 * len(columns)) if columns else 0
    if stretches > 0:
        for values in columns:
            chosen[_extremes(values, stretches)] = True
    return _filled(chosen, resolution)


def _extremes(values: Floats, stretches: int) -> Indices:
    """The indices of the smallest and the largest value in each stretch that has any."""
    size = -(-len(values) // stretches)
    whole = len(values) // size * size
    found = _extremes_of_rows(values[:whole].reshape(-1, size))
    if whole == len(values):
        return found
    # The last stretch is shorter.
    return np.concatenate((found, _extremes_of_rows(values[None, whole:]) + whole))


def _extremes_of_rows(table: Floats) -> Indices:
    """The same for each row, as indices of the flattened table."""
    low = high = table
    starts = np.arange(0, table.size, table.shape[1])
    gaps = np.isnan(table)
    if gaps.any():
        some = ~gaps.all(axis=1)
        starts = starts[some]
        low = np.where(gaps, np.inf, table)[some]
        high = np.where(gaps, -np.inf, table)[some]
    return np.concatenate((starts + low.argmin(axis=1), starts + high.argmax(axis=1)))


def _filled(chosen: NDArray[np.bool_], resolution: int) -> Indices:
    """What is chosen, and of the rest evenly as many as there are points left for."""
    left = resolution - int(chosen.sum())
    if left > 0:
        rest = np.flatnonzero(~chosen)
        at = (np.arange(left) + 0.5) * (len(rest) / left)
        chosen[rest[at.astype(np.intp)]] = True
    return np.flatnonzero(chosen)


def decimals_of(scale: float, offset: float = 0.0) -> int:
    """Decimals that tell neighbouring raw values apart: 0 for 1, 2 for 0.01, 7 for 1e-7.

    For the scale of integer channels; the offset may ask for more. At most 9.
    """
    return max(_decimals(scale), _decimals(offset) if offset else 0)


def _decimals(step: float) -> int:
    # The logarithm of 0.001 is a hair above -3: without the slack it would ask for 4.
    return min(max(math.ceil(-math.log10(abs(step)) - 1e-9), 0), _MOST_DECIMALS)
