"""The fastest stretch over each round distance.

Owns the search. Convention (`efforts/1`, Strava's): the shortest elapsed time, pauses
included, in which the activity's distance curve grows by the round distance; the ends
are interpolated between samples. A stretch faster than the sport's top speed is a
measuring error and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.training.activities.rules.track import Floats, Indices, Track


@dataclass(frozen=True, slots=True)
class BestEffort:
    """The shortest time over a round distance."""

    distance_m: float
    duration_s: float
    start_offset_s: float
    """Since the first sample."""


def best_efforts(track: Track, curve_m: Floats) -> tuple[BestEffort, ...]:
    """One for each of the sport's distances that was covered, the shortest first."""
    found = []
    for distance_m in track.profile.efforts_m:
        if len(curve_m) < 2 or curve_m[-1] - curve_m[0] < distance_m:
            break
        effort = _fastest(track, curve_m, distance_m)
        if effort is not None:
            found.append(effort)
    return tuple(found)


def _fastest(track: Track, curve_m: Floats, distance_m: float) -> BestEffort | None:
    """The fastest stretch begins or ends at a sample, as speed is constant in between."""
    clock = track.clock_s
    begins = curve_m + distance_m <= curve_m[-1]
    ends = curve_m - distance_m >= curve_m[0]
    starts = np.concatenate((clock[begins], _left_at(clock, curve_m, curve_m[ends] - distance_m)))
    stops = np.concatenate((reached_at(clock, curve_m, curve_m[begins] + distance_m), clock[ends]))
    durations = stops - starts
    durations[durations * track.profile.top_speed_mps < distance_m] = np.inf
    best = int(np.argmin(durations))
    if not np.isfinite(durations[best]):
        return None
    return BestEffort(distance_m, float(durations[best]), float(starts[best]))


def reached_at(clock: Floats, curve_m: Floats, targets: Floats) -> Floats:
    """When the curve first reaches each target."""
    at = np.clip(np.searchsorted(curve_m, targets, side="left"), 1, len(curve_m) - 1)
    return _between(clock, curve_m, targets, at)


def _left_at(clock: Floats, curve_m: Floats, targets: Floats) -> Floats:
    """When the curve last was at each target."""
    at = np.clip(np.searchsorted(curve_m, targets, side="right"), 1, len(curve_m) - 1)
    return _between(clock, curve_m, targets, at)


def _between(clock: Floats, curve_m: Floats, targets: Floats, at: Indices) -> Floats:
    metres = curve_m[at] - curve_m[at - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(metres > 0, (targets - curve_m[at - 1]) / metres, 1.0)
    result: Floats = clock[at - 1] + np.clip(share, 0.0, 1.0) * (clock[at] - clock[at - 1])
    return result
