"""How long somebody moved.

Owns the split of time into moving and standing. Decides by the device's pauses where it
gave any, because its wearer or its auto-pause knew; else by what the samples show.

Formula (`moving/1`), without pauses: a step of up to 30 s moves where the mean of the
speeds at its ends or the growth of the distance channel (where there are neither, the
distance over 10 s to each side) is at least the sport's threshold, or where nothing is
known. A longer step (smart recording,
a lost signal) moves where the distance across it makes that threshold on average, and
stands where no distance is known. An activity in which speed and distance never reach
the threshold was not measured by them (indoors without a sensor): only its silences
stand. Moving time is never more than elapsed time
(endurain#440).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from services.training.activities.rules.track import LONGEST_SILENCE_S, Floats, Span, Track

_WINDOW_S: Final = 10.0


def running_share(track: Track, pauses: Sequence[Span]) -> Floats:
    """For each step the share, 0 to 1, in which the timer ran by the device's pauses."""
    step_s = track.step_s
    if not pauses or not len(step_s):
        return np.ones(len(step_s))
    starts = track.clock_at([pause.start_ms for pause in pauses])
    ends = track.clock_at([pause.end_ms for pause in pauses])
    paused = np.diff(_covered(track.clock_s, starts, ends))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(step_s > 0, 1.0 - paused / step_s, 0.0)
    return np.clip(share, 0.0, 1.0)


def _covered(clock_s: Floats, starts: Floats, ends: Floats) -> Floats:
    """For each instant how much before it lies in any span; spans may overlap."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(np.maximum(ends, starts)[order])
    # What the spans before it cover is cut off each span, which leaves them disjoint.
    starts = np.maximum(starts, np.concatenate(([-np.inf], ends[:-1])))
    edges = np.column_stack((starts, ends)).reshape(-1)
    lengths = np.column_stack((np.zeros(len(starts)), ends - starts)).reshape(-1)
    return np.interp(clock_s, edges, np.cumsum(lengths))


def moving_share(track: Track, curve_m: Floats | None) -> Floats:
    """For each step 1 where somebody moved, else 0; `curve_m` is the distance so far."""
    step_s, threshold = track.step_s, track.profile.stopped_below_mps
    silent = step_s > LONGEST_SILENCE_S
    if not len(step_s) or threshold is None:
        return np.where(silent, 0.0, 1.0)
    speed = _speed_of_steps(track, curve_m)
    if not (speed >= threshold).any():
        return np.where(silent, 0.0, 1.0)
    moves = ~(speed < threshold)
    across = np.zeros(len(step_s)) if curve_m is None else np.diff(curve_m)
    return np.where(silent, across >= threshold * step_s, moves).astype(np.float64)


def _speed_of_steps(track: Track, curve_m: Floats | None) -> Floats:
    """By what the device measured, else by the distance around the step; NaN where unknown."""
    speed = np.fmax(_measured_speed(track), _odometer_speed(track))
    if curve_m is not None and np.isnan(speed).any():
        speed = np.where(np.isnan(speed), _speed_around(track.clock_s, curve_m), speed)
    return speed


def _measured_speed(track: Track) -> Floats:
    values = track.columns.get("SPEED")
    if values is None:
        return np.full(len(track.clock_s) - 1, np.nan)
    before, after = values[:-1], values[1:]
    return np.where(
        np.isnan(before), after, np.where(np.isnan(after), before, (before + after) / 2)
    )


def _odometer_speed(track: Track) -> Floats:
    """By the device's distance channel, which moves before a smoothed speed does."""
    values = track.columns.get("DISTANCE")
    if values is None:
        return np.full(len(track.clock_s) - 1, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(track.step_s > 0, np.diff(values) / track.step_s, np.nan)


def _speed_around(clock_s: Floats, curve_m: Floats) -> Floats:
    middle = (clock_s[1:] + clock_s[:-1]) / 2
    low = np.maximum(middle - _WINDOW_S, clock_s[0])
    high = np.minimum(middle + _WINDOW_S, clock_s[-1])
    metres = np.interp(high, clock_s, curve_m) - np.interp(low, clock_s, curve_m)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(high > low, metres / (high - low), np.nan)
