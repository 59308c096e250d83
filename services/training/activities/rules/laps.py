"""The parts of an activity.

Owns the cutting: the device's laps where it gave any, else one each round distance (1 km
on foot, 5 km by bicycle, 500 m rowing, 100 m swimming), the last as long as it is.
Convention (`laps/1`): averages are means of the samples from a lap's start up to, not
including, its end; average speed is distance by moving time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.training.activities.rules.efforts import reached_at
from services.training.activities.rules.track import Floats, Indices, Span, Track

MAX_LAPS: Final = 2_000
_LARGEST_CLAIM: Final = 1e9


@dataclass(frozen=True, slots=True)
class DeviceLap:
    """A lap as the device or its wearer cut it."""

    span: Span
    distance_m: float | None = None
    moving_s: float | None = None


@dataclass(frozen=True, slots=True)
class Lap:
    """A part of the activity; what could not be measured is None."""

    start_offset_s: float
    elapsed_s: float
    moving_s: float | None
    distance_m: float | None
    average_heart_rate_bpm: float | None
    average_power_w: float | None
    average_speed_mps: float | None


def cut_laps(
    track: Track, device: Sequence[DeviceLap], curve_m: Floats | None, moving_s: Floats
) -> tuple[Lap, ...]:
    """`moving_s`: moving seconds since the start at each sample. At most 2,000 laps."""
    if not len(track.clock_s):
        return ()
    if device:
        return _device_laps(track, device[:MAX_LAPS], curve_m, moving_s)
    if curve_m is None or track.profile.stopped_below_mps is None:
        return ()
    whole = int(min((curve_m[-1] - curve_m[0]) // track.profile.lap_m, MAX_LAPS - 1))
    marks = curve_m[0] + track.profile.lap_m * np.arange(1, whole + 1)
    edges = np.concatenate(([0.0], reached_at(track.clock_s, curve_m, marks), track.clock_s[-1:]))
    if whole and edges[-1] <= edges[-2]:
        edges = edges[:-1]
    return _laps(track, edges[:-1], edges[1:], edges[1:] - edges[:-1], curve_m, moving_s)


def _device_laps(
    track: Track, device: Sequence[DeviceLap], curve_m: Floats | None, moving_s: Floats
) -> tuple[Lap, ...]:
    starts = track.clock_at([lap.span.start_ms for lap in device])
    ends = np.maximum(track.clock_at([lap.span.end_ms for lap in device]), starts)
    elapsed = np.array([max(lap.span.end_ms - lap.span.start_ms, 0) / 1000 for lap in device])
    measured = _laps(track, starts, ends, elapsed, curve_m, moving_s)
    return tuple(_prefer(lap, own) for lap, own in zip(measured, device, strict=True))


def _prefer(lap: Lap, own: DeviceLap) -> Lap:
    own_moving_s, own_m = usable(own.moving_s), usable(own.distance_m)
    moving_s = lap.moving_s if own_moving_s is None else min(own_moving_s, lap.elapsed_s)
    distance_m = lap.distance_m if own_m is None else own_m
    return Lap(
        lap.start_offset_s,
        lap.elapsed_s,
        moving_s,
        distance_m,
        lap.average_heart_rate_bpm,
        lap.average_power_w,
        average_speed(distance_m, moving_s),
    )


def _laps(
    track: Track,
    starts: Floats,
    ends: Floats,
    elapsed: Floats,
    curve_m: Floats | None,
    moving_s: Floats,
) -> tuple[Lap, ...]:
    clock = track.clock_s
    first = np.searchsorted(clock, starts, side="left")
    past = np.searchsorted(clock, ends, side="left")
    # The last sample belongs to the lap that ends with it.
    past[ends >= clock[-1]] = len(clock)
    moving = np.interp(ends, clock, moving_s) - np.interp(starts, clock, moving_s)
    metres = None
    if curve_m is not None:
        metres = np.interp(ends, clock, curve_m) - np.interp(starts, clock, curve_m)
    rates, powers = (_means(track.columns.get(n), first, past) for n in ("HEART_RATE", "POWER"))
    laps = []
    for n in range(len(starts)):
        own_moving = min(float(moving[n]), float(elapsed[n]))
        own_m = None if metres is None else float(metres[n])
        speed = average_speed(own_m, own_moving)
        laps.append(
            Lap(float(starts[n]), float(elapsed[n]), own_moving, own_m, rates[n], powers[n], speed)
        )
    return tuple(laps)


def _means(values: Floats | None, first: Indices, past: Indices) -> list[float | None]:
    if values is None:
        return [None] * len(first)
    known = np.isfinite(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(known, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(known)))
    total, count = sums[past] - sums[first], counts[past] - counts[first]
    return [float(s) / int(c) if c > 0 else None for s, c in zip(total, count, strict=True)]


def usable(claim: float | None) -> float | None:
    """A device's figure is taken as it is, where it is one: finite, not negative, not absurd."""
    return claim if claim is not None and 0.0 <= claim <= _LARGEST_CLAIM else None


def average_speed(distance_m: float | None, moving_s: float | None) -> float | None:
    """m/s; None where either is unknown or nobody moved for even a millisecond."""
    if distance_m is None or moving_s is None or moving_s < 1e-3:
        return None
    return distance_m / moving_s
