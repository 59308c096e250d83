"""The samples of an activity, made safe to compute with.

Owns the clock that the formulas run on and the removal of values that are no
measurements. Decides nothing about the stored samples, which stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.training.activities.rules.sports import Profile, Sport, profile_of
from services.training.samples.rules.channels import CANONICAL

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
LONGEST_SILENCE_S = 30.0
"""Smart recording leaves seconds out, rarely more than ten; longer without a sample and
with no sign of movement, nobody knows what was done."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time by the device's clock, ms since 1970."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """All arrays have one entry for each sample, in the order in which they were recorded."""

    sport: Sport
    time_ms: NDArray[np.int64]
    clock_s: Floats
    """Seconds since the first sample. Where the device's clock was set back it stands,
    so that it never runs backwards; else it is exactly the device's time."""
    columns: Mapping[str, Floats]
    """Per channel, NaN where nothing plausible was measured."""

    @property
    def profile(self) -> Profile:
        """What is plausible in the track's sport."""
        return profile_of(self.sport)

    @property
    def step_s(self) -> Floats:
        """Seconds from each sample to the next; one fewer than samples."""
        return np.diff(self.clock_s)

    def clock_at(self, time_ms: Sequence[int]) -> Floats:
        """The clock at device times; those before or after the samples are clamped."""
        if not len(self.time_ms):
            return np.zeros(len(time_ms))
        reached = np.maximum.accumulate(self.time_ms)
        start = reached[0]
        wanted = np.array([int(time) - int(start) for time in time_ms], dtype=np.float64)
        return np.interp(wanted, (reached - start).astype(np.float64), self.clock_s)


def make_track(time_ms: NDArray[np.int64], columns: Mapping[str, Floats], sport: Sport) -> Track:
    """`columns`: channel name to values in the channel's unit, as long as `time_ms`."""
    forward = np.maximum(np.diff(time_ms), 0)
    clock = np.concatenate(([0.0], np.cumsum(forward) / 1000.0))[: len(time_ms)]
    return Track(sport, time_ms, clock, {n: _plausible(n, v) for n, v in columns.items()})


def _plausible(name: str, values: Floats) -> Floats:
    canonical = CANONICAL.get(name)
    if canonical is None:
        return np.where(np.isfinite(values), values, np.nan)
    keep = (values >= canonical.low) & (values <= canonical.high)
    return values if keep.all() else np.where(keep, values, np.nan)
