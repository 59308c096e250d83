"""How far it was: cumulative curves from three sources.

Owns the choice between the device's distance channel, positions and speed, and what is
rejected in each. Decides nothing about the device's own total, which `summary` prefers.

Formulas (`distance/1`): the great circle by the haversine formula (Sinnott 1984) on a
sphere of the mean Earth radius 6,371,008.8 m (IUGG); a fix that would need more than
the sport's top speed both to reach and to leave is dropped; a remaining step over that
speed counts nothing, so that one bad point cannot make 11,000 km (OpenTracks#1906).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from services.training.activities.rules.track import LONGEST_SILENCE_S, Floats, Indices, Track

EARTH_RADIUS_M: Final = 6_371_008.8
LONGEST_BRIDGE_S: Final = 3_600.0
"""A straight line across a longer hole in the positions says nothing about the way."""
_SPIKE_PASSES: Final = 3
_CORRECTION_M: Final = 1_000.0
"""A device may correct its own distance by this much at once, after a tunnel say."""
_FIRST_SAMPLE_S: Final = 10.0
"""A first sample may come this late, and then has that much distance already."""


def haversine_m(lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats) -> Floats:
    """Great circle distances in metres between points in degrees; antimeridian included."""
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    half_lat, half_lon = (phi2 - phi1) / 2, np.radians(lon2 - lon1) / 2
    chord = np.sin(half_lat) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(half_lon) ** 2
    result: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(chord, 0.0, 1.0)))
    return result


def curve_from_positions(track: Track, moving_share: Floats) -> Floats | None:
    """Metres since the start at each sample; None where fewer than two fixes are usable.

    `moving_share`: for each step the share of it in which the timer ran.
    """
    lat, lon = track.columns.get("LATITUDE"), track.columns.get("LONGITUDE")
    if lat is None or lon is None:
        return None
    # Exactly 0°, 0° is what receivers without a fix report.
    usable: Indices = np.flatnonzero(
        np.isfinite(lat) & np.isfinite(lon) & ((lat != 0) | (lon != 0))
    )
    fixes = _without_spikes(track, lat, lon, usable)
    if len(fixes) < 2:
        return None
    steps, seconds = _steps(track, lat, lon, fixes)
    plausible = (steps <= track.profile.top_speed_mps * seconds) & (seconds <= LONGEST_BRIDGE_S)
    running = np.concatenate(([0.0], np.cumsum(moving_share * track.step_s)))[fixes]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(seconds > 0, np.diff(running) / seconds, 0.0)
    total = np.concatenate(([0.0], np.cumsum(np.where(plausible, steps * share, 0.0))))
    return np.interp(track.clock_s, track.clock_s[fixes], total)


def _steps(track: Track, lat: Floats, lon: Floats, fixes: Indices) -> tuple[Floats, Floats]:
    at, to = fixes[:-1], fixes[1:]
    metres = haversine_m(lat[at], lon[at], lat[to], lon[to])
    return metres, track.clock_s[to] - track.clock_s[at]


def _without_spikes(track: Track, lat: Floats, lon: Floats, fixes: Indices) -> Indices:
    """Fixes that cannot be reached nor left, while their neighbours fit together, go."""
    top = track.profile.top_speed_mps
    for _ in range(_SPIKE_PASSES):
        if len(fixes) < 3:
            break
        steps, seconds = _steps(track, lat, lon, fixes)
        too_fast = steps > top * seconds
        before, after = fixes[:-2], fixes[2:]
        past = haversine_m(lat[before], lon[before], lat[after], lon[after])
        fits = past <= top * (track.clock_s[after] - track.clock_s[before])
        spike = too_fast[:-1] & too_fast[1:] & fits
        if not spike.any():
            break
        fixes = np.delete(fixes, np.flatnonzero(spike) + 1)
    return fixes


def curve_from_channel(track: Track) -> Floats | None:
    """Metres since the start by the device's cumulative distance; resets start anew."""
    values = track.columns.get("DISTANCE")
    if values is None or np.isnan(values).all():
        return None
    known = np.flatnonzero(np.isfinite(values))
    top = track.profile.top_speed_mps
    metres, clock = values[known], track.clock_s[known]
    gained = np.diff(metres)
    plausible = (gained > 0) & (gained <= top * np.diff(clock) + _CORRECTION_M)
    first = float(metres[0]) if metres[0] <= top * _FIRST_SAMPLE_S else 0.0
    total = first + np.concatenate(([0.0], np.cumsum(np.where(plausible, gained, 0.0))))
    return np.interp(track.clock_s, clock, total)


def curve_from_speed(track: Track) -> Floats | None:
    """Metres since the start by integrating speed (trapezoids); silences count nothing."""
    values = track.columns.get("SPEED")
    if values is None or np.isfinite(values).sum() < 2:
        return None
    known = np.flatnonzero(np.isfinite(values))
    speed = np.minimum(values[known], track.profile.top_speed_mps)
    clock = track.clock_s[known]
    seconds = np.diff(clock)
    steps = np.where(seconds <= LONGEST_SILENCE_S, (speed[1:] + speed[:-1]) / 2 * seconds, 0.0)
    total = np.concatenate(([0.0], np.cumsum(steps)))
    return np.interp(track.clock_s, clock, total)
