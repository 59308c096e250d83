"""What we make of an activity's samples.

Owns the summary and the version of its formulas. Decides which source a value is from.
Never raises on measured data, however odd: what cannot be computed is absent.

`summary/1` = `distance/1`, `moving/1`, `elevation/1`, `efforts/1`, `laps/1`, and:
elapsed is last sample minus first (a clock set back adds nothing); a channel's average
is the mean of the samples' values, zeros included, unweighted by time; average speed is
distance by moving time. Implausible values (see CANONICAL) count as not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.training.activities.rules.distance import (
    curve_from_channel,
    curve_from_positions,
    curve_from_speed,
)
from services.training.activities.rules.efforts import BestEffort, best_efforts
from services.training.activities.rules.elevation import ascent_and_descent
from services.training.activities.rules.laps import DeviceLap, Lap, average_speed, cut_laps, usable
from services.training.activities.rules.moving import moving_share, running_share
from services.training.activities.rules.sports import Sport
from services.training.activities.rules.track import Floats, Span, Track, make_track

FORMULA: Final = "summary/1"
_LOCATION: Final = frozenset({"LATITUDE", "LONGITUDE"})


class DistanceSource(IntEnum):
    """Where a distance is from; the numbers are the contract's."""

    UNSPECIFIED = 0
    DEVICE_SUMMARY = 1
    DEVICE_CHANNEL = 2
    POSITIONS = 3
    SPEED = 4


@dataclass(frozen=True, slots=True)
class DeviceClaims:
    """What of the device's own summary enters ours."""

    distance_m: float | None = None
    laps: tuple[DeviceLap, ...] = ()
    pauses: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelSummary:
    """Of the samples that have a plausible value; at least one."""

    channel: str
    min: float
    average: float
    max: float
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What could not be measured is None."""

    elapsed_s: float | None = None
    moving_s: float | None = None
    distance_m: float | None = None
    distance_source: DistanceSource = DistanceSource.UNSPECIFIED
    computed_distance_m: float | None = None
    ascent_m: float | None = None
    descent_m: float | None = None
    average_speed_mps: float | None = None
    channels: tuple[ChannelSummary, ...] = ()
    best_efforts: tuple[BestEffort, ...] = ()
    laps: tuple[Lap, ...] = ()
    formula: str = FORMULA


@dataclass(frozen=True, slots=True, eq=False)
class _Curve:
    metres: Floats
    source: DistanceSource


def summarise(
    time_ms: NDArray[np.int64],
    columns: Mapping[str, Floats],
    sport: Sport,
    device: DeviceClaims | None = None,
) -> Summary:
    """`time_ms` since 1970; `columns` per channel in its unit, NaN in gaps, equally long."""
    device = device or DeviceClaims()
    device_m = usable(device.distance_m)
    track = make_track(time_ms, columns, sport)
    if not len(time_ms):
        return Summary(
            distance_m=device_m,
            distance_source=_source_of(device_m, None),
        )
    running = running_share(track, device.pauses)
    positions = curve_from_positions(track, running)
    curve = _best_curve(track, positions)
    metres = None if curve is None else curve.metres
    share = running if device.pauses else moving_share(track, metres)
    moving = np.concatenate(([0.0], np.cumsum(share * track.step_s)))
    elapsed_s = float(track.clock_s[-1])
    moving_s = min(float(moving[-1]), elapsed_s)
    distance_m = device_m
    if distance_m is None and metres is not None:
        distance_m = float(metres[-1])
    climbed = ascent_and_descent(track)
    return Summary(
        elapsed_s=elapsed_s,
        moving_s=moving_s,
        distance_m=distance_m,
        distance_source=_source_of(device_m, curve),
        computed_distance_m=None if positions is None else float(positions[-1]),
        ascent_m=None if climbed is None else climbed[0],
        descent_m=None if climbed is None else climbed[1],
        average_speed_mps=average_speed(distance_m, moving_s),
        channels=_channels(track),
        best_efforts=() if metres is None else best_efforts(track, metres),
        laps=cut_laps(track, device.laps, metres, moving),
    )


def _best_curve(track: Track, positions: Floats | None) -> _Curve | None:
    """The device's channel knows best what it measured; then positions, then speed."""
    channel = curve_from_channel(track)
    if channel is not None:
        return _Curve(channel, DistanceSource.DEVICE_CHANNEL)
    if positions is not None:
        return _Curve(positions, DistanceSource.POSITIONS)
    speed = curve_from_speed(track)
    return None if speed is None else _Curve(speed, DistanceSource.SPEED)


def _source_of(device_m: float | None, curve: _Curve | None) -> DistanceSource:
    if device_m is not None:
        return DistanceSource.DEVICE_SUMMARY
    return DistanceSource.UNSPECIFIED if curve is None else curve.source


def _channels(track: Track) -> tuple[ChannelSummary, ...]:
    """All but the position, whose mean is a place on no route."""
    summaries = []
    for name, values in track.columns.items():
        known = values[~np.isnan(values)]
        if name in _LOCATION or not len(known):
            continue
        # Divided before it is summed: a developer's largest doubles would overflow.
        average = float(np.sum(known / len(known)))
        low, high = float(known.min()), float(known.max())
        summaries.append(ChannelSummary(name, low, min(max(average, low), high), high, len(known)))
    return tuple(summaries)
