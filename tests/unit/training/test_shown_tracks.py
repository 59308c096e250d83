"""Of a track that others see, no place is within a zone, and nothing tells of what was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from services.training.activities.rules.sports import Sport
from services.training.samples.rules.streams import Streams, downsample
from services.training.sharing.rules.shown import (
    CHANNELS,
    START_GRAIN_MS,
    STEP_MS,
    Shown,
    about_when,
    shown,
    summary,
)
from services.training.sharing.rules.zones import HIDDEN, LONGEST_SILENCE_MS, Circle, digest, parts

Floats = NDArray[np.float64]
HOME, WORK = Circle(59.93, 30.31, 601.0), Circle(59.95, 30.33, 301.0)
M_PER_DEG = 111_195.0
CHANGED = ("ALTITUDE", "SPEED", "CADENCE", "POWER", "TEMPERATURE", "HEART_RATE", "glucose")


class Made(NamedTuple):
    time_ms: NDArray[np.int64]
    columns: dict[str, Floats]


def apart_m(latitude: Floats, longitude: Floats, circle: Circle) -> Floats:
    """On the sphere by the chord: another formula than the one under test."""
    phi, theta = np.radians(latitude), np.radians(longitude)
    here = np.stack((np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)))
    phi0, theta0 = math.radians(circle.latitude_deg), math.radians(circle.longitude_deg)
    there = np.array(
        (math.cos(phi0) * math.cos(theta0), math.cos(phi0) * math.sin(theta0), math.sin(phi0))
    )
    chord = np.sqrt(((here - there[:, None]) ** 2).sum(axis=0))
    found: Floats = 2 * 6_371_008.8 * np.arcsin(chord / 2)
    return found


def made(seed: int) -> Made:
    """A way that wanders in and out of zones, with gaps, silences, beats and a clock set back."""
    dice = np.random.default_rng(seed)
    count = int(dice.integers(2, 900))
    heading = np.cumsum(dice.normal(0, 0.25, count)) + dice.uniform(0, 2 * math.pi)
    start_m = dice.uniform(-900, 900, 2)
    pace = dice.uniform(1, 12)
    north = start_m[0] + np.cumsum(pace * np.cos(heading))
    east = start_m[1] + np.cumsum(pace * np.sin(heading))
    latitude = HOME.latitude_deg + north / M_PER_DEG
    longitude = HOME.longitude_deg + east / (M_PER_DEG * math.cos(math.radians(59.93)))
    steps = dice.choice([1000, 1000, 1000, 1000, 300, 5_000, 90_000, -2_000], count)
    time_ms = 1_780_000_000_000 + np.cumsum(steps).astype(np.int64)
    if dice.random() < 0.5:
        lost = int(dice.integers(0, count))
        latitude[: lost // 3] = np.nan
        longitude[: lost // 4] = np.nan
    gaps = dice.random(count) < dice.choice([0.0, 0.1, 0.6])
    latitude[gaps] = np.nan
    longitude[gaps] = np.nan
    odd = dice.random(count) < 0.01
    latitude[odd], longitude[odd] = dice.choice([0.0, 91.0, 700.0]), 0.0
    columns: dict[str, Floats] = {name: dice.uniform(0, 500, count).round(1) for name in CHANGED}
    columns |= {"LATITUDE": latitude, "LONGITUDE": longitude}
    columns["DISTANCE"] = np.cumsum(dice.uniform(0, 12, count)).round(2)
    columns["DISTANCE"][dice.random(count) < 0.2] = np.nan
    return Made(time_ms, columns)


def otherwise(track: Made, circles: Sequence[Circle], seed: int) -> Made:
    """The same for others: what is hidden was elsewhere in the zone, at other times, otherwise."""
    dice = np.random.default_rng(seed)
    found = parts(track.time_ms, track.columns["LATITUDE"], track.columns["LONGITUDE"], circles)
    hidden = found == HIDDEN
    columns = {name: values.copy() for name, values in track.columns.items()}
    for name in CHANGED:
        columns[name][hidden] = dice.uniform(0, 500, int(hidden.sum()))
    latitude, longitude = columns["LATITUDE"], columns["LONGITUDE"]
    inside = hidden & np.isfinite(latitude) & np.isfinite(longitude) & (np.abs(latitude) <= 90)
    inside &= latitude != 0
    for at in np.flatnonzero(inside):
        circle = circles[int(dice.integers(len(circles)))]
        metres, angle = circle.radius_m * 0.99 * dice.random(), dice.uniform(0, 2 * math.pi)
        latitude[at] = circle.latitude_deg + metres * math.cos(angle) / M_PER_DEG
        wide = M_PER_DEG * math.cos(math.radians(circle.latitude_deg))
        longitude[at] = circle.longitude_deg + metres * math.sin(angle) / wide
    # What lies before a sample that is shown takes longer, and is farther.
    begins = np.flatnonzero(np.diff(found, prepend=HIDDEN) != 0)
    time_ms, gained = track.time_ms.copy(), columns["DISTANCE"]
    for at in begins:
        before = int(found[at - 1]) if at else HIDDEN
        if found[at] != HIDDEN and (before == HIDDEN and at):
            time_ms[at:] += int(dice.integers(0, 10_000_000))
            gained[at:] += float(dice.integers(0, 100_000)) / 100
    return Made(time_ms, columns)


def of(track: Made, circles: Sequence[Circle] = (HOME, WORK)) -> Shown:
    return shown(track.time_ms, track.columns, circles)


def same(one: Mapping[str, Floats], other: Mapping[str, Floats]) -> bool:
    return one.keys() == other.keys() and all(
        values.tobytes() == other[name].tobytes() for name, values in one.items()
    )


@pytest.mark.parametrize("block", range(8))
def test_no_place_within_a_zone_is_ever_shown(block: int) -> None:
    hidden = left = 0
    for seed in range(block * 100, block * 100 + 100):
        track = made(seed)
        seen = of(track)
        for resolution in (0, 10, 100):
            drawn = downsample(Streams(seen.time_ms, seen.columns, seen.parts), resolution)
            latitude, longitude = drawn.channels["LATITUDE"], drawn.channels["LONGITUDE"]
            known = np.isfinite(latitude) | np.isfinite(longitude)
            assert (np.isfinite(latitude) == np.isfinite(longitude)).all()
            for circle in (HOME, WORK):
                apart = apart_m(latitude[known], longitude[known], circle)
                assert (apart > circle.radius_m - 0.001).all(), seed
        hidden += len(track.time_ms) - len(seen.time_ms)
        left += len(seen.time_ms)
    # The tracks are such that something is tested.
    assert hidden > 5_000
    assert left > 5_000


@pytest.mark.parametrize("block", range(8))
def test_what_was_done_within_a_zone_makes_no_difference_to_anything_shown(block: int) -> None:
    changed = 0
    for seed in range(block * 50, block * 50 + 50):
        track = made(seed)
        other = otherwise(track, (HOME, WORK), seed + 1)
        seen, instead = of(track), of(other)
        assert seen.cut == instead.cut
        assert (seen.time_ms == instead.time_ms).all(), seed
        assert (seen.parts == instead.parts).all(), seed
        assert same(seen.columns, instead.columns), seed
        assert summary(seen, Sport.RUNNING) == summary(instead, Sport.RUNNING), seed
        changed += not (track.time_ms == other.time_ms).all()
    assert changed > 10


def test_nobody_is_shown_a_heart_nor_a_channel_that_we_do_not_know() -> None:
    seen = of(made(3), ())
    assert set(seen.columns) <= CHANNELS
    assert not {"HEART_RATE", "RR_INTERVAL", "glucose"} & set(seen.columns)


def test_without_zones_all_is_shown_and_begins_at_nothing() -> None:
    track = made(5)
    seen = of(track, ())
    assert not seen.cut
    assert (seen.time_ms == track.time_ms - track.time_ms[0]).all()
    metres = seen.columns["DISTANCE"]
    assert metres[np.isfinite(metres)][0] == 0.0


def straight(metres: Sequence[float], time_s: Sequence[float] | None = None) -> Made:
    """Due north of home, by how far from it; NaN for no position."""
    north = np.array(metres, dtype=np.float64)
    latitude = HOME.latitude_deg + north / M_PER_DEG
    times = np.arange(len(metres)) if time_s is None else np.array(time_s)
    columns = {
        "LATITUDE": latitude,
        "LONGITUDE": np.where(np.isnan(north), np.nan, HOME.longitude_deg),
        "DISTANCE": 10.0 * np.arange(len(metres)),
    }
    return Made((times * 1000).astype(np.int64), columns)


NAN = math.nan


@pytest.mark.parametrize(
    ("metres", "expected"),
    [
        ([0, 300, 700, 800], [-1, -1, 0, 0]),
        # Where somebody was before the first fix, and after the last, nobody knows.
        ([NAN, NAN, 700, 800, NAN], [-1, -1, 0, 0, -1]),
        # Between two fixes that are shown he was not far.
        ([700, NAN, 720], [0, 0, 0]),
        ([700, NAN, 500, NAN, 700], [0, -1, -1, -1, 1]),
        ([NAN, NAN], [-1, -1]),
        ([0, 10], [-1, -1]),
    ],
)
def test_what_has_no_place_is_shown_between_places_only(
    metres: Sequence[float], expected: Sequence[int]
) -> None:
    track = straight(metres)
    found = parts(track.time_ms, track.columns["LATITUDE"], track.columns["LONGITUDE"], [HOME])
    assert found.tolist() == list(expected)


def test_a_long_silence_cuts_and_takes_neither_time_nor_distance() -> None:
    away_s = LONGEST_SILENCE_MS / 1000 + 1
    track = straight([700, 710, NAN, 900, 910], [0, 1, 2, 1 + away_s, 2 + away_s])
    seen = of(track, [HOME])
    assert seen.parts.tolist() == [0, 0, 1, 1]
    assert seen.time_ms.tolist() == [0, 1000, 1000 + STEP_MS, 2000 + STEP_MS]
    assert seen.columns["DISTANCE"].tolist() == [0.0, 10.0, 10.0, 20.0]
    drawn = Streams(seen.time_ms, seen.columns, seen.parts)
    assert drawn.cuts == [2]
    assert Streams(seen.time_ms, seen.columns).cuts is None


def test_half_a_position_is_a_position() -> None:
    track = straight([700, 710, 720])
    track.columns["LONGITUDE"][1] = NAN
    assert np.isnan(of(track, [HOME]).columns["LATITUDE"]).tolist() == [False, True, False]
    del track.columns["LONGITUDE"]
    assert "LATITUDE" not in of(track, [HOME]).columns


def test_figures_are_of_what_is_left() -> None:
    # 600 m inside, then 3 km outside at 3 m/s, and 600 m inside again.
    out = [*range(0, 3_600, 3), *range(3_600, 0, -3)]
    track = straight([float(each) for each in out])
    track.columns["DISTANCE"] = 3.0 * np.arange(float(len(out)))
    track.columns["ALTITUDE"] = np.where(np.array(out) < 601, 500.0, 10.0)
    seen = of(track, [HOME])
    figures = summary(seen, Sport.RUNNING)
    assert figures.distance_m == pytest.approx(2 * (3_600 - 603), abs=6)
    assert figures.elapsed_s == pytest.approx(2 * (3_600 - 603) / 3, abs=3)
    assert figures.ascent_m == 0.0
    assert figures.formula == "summary/1+shown/1"
    assert figures.best_efforts
    assert sum(lap.elapsed_s for lap in figures.laps) == pytest.approx(figures.elapsed_s or 0)


def test_a_hole_in_the_middle_makes_no_effort_and_no_speed() -> None:
    # Along the other side of the zone, 2 km of it hidden.
    track = straight([*range(-4_000, 4_001, 3)])
    track.columns["DISTANCE"] = 3.0 * np.arange(float(len(track.time_ms)))
    figures = summary(of(track, [HOME]), Sport.RUNNING)
    assert (figures.elapsed_s or 0) < 2_300
    assert all(each.duration_s < 2_300 for each in figures.best_efforts)
    assert figures.distance_m == pytest.approx(8_000 - 1_202, abs=10)
    del track.columns["DISTANCE"]
    by_place = summary(of(track, [HOME]), Sport.RUNNING)
    assert by_place.distance_m == pytest.approx(8_000 - 1_202, abs=10)


def test_when_it_began_is_told_to_the_quarter_of_an_hour() -> None:
    assert about_when(START_GRAIN_MS * 5 + 899_999) == START_GRAIN_MS * 5
    assert about_when(-1) == -START_GRAIN_MS


def test_circles_are_told_apart_whatever_their_order() -> None:
    assert digest([HOME, WORK]) == digest([WORK, HOME]) != digest([HOME])
    assert digest([]) == b""
