"""What we make of samples: known answers, known traps, and data that is plainly odd."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.training.activities.rules.distance import EARTH_RADIUS_M, haversine_m
from services.training.activities.rules.laps import MAX_LAPS, DeviceLap
from services.training.activities.rules.sports import MILE_M, Sport
from services.training.activities.rules.summary import (
    DeviceClaims,
    DistanceSource,
    Summary,
    summarise,
)
from services.training.activities.rules.track import Floats, Span
from services.training.samples.rules.channels import CANONICAL
from tests.unit.training.made_sessions import START_MS

DEG_M = EARTH_RADIUS_M * math.pi / 180


def seconds(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return START_MS + 1000 * np.arange(count, dtype=np.int64)


def line(count: int, step: float) -> Floats:
    return np.arange(count, dtype=np.float64) * step


def run(**columns: Floats) -> Summary:
    count = len(next(iter(columns.values())))
    return summarise(seconds(count), columns, Sport.RUNNING)


def steady_run(count: int = 3_601, speed: float = 3.0) -> dict[str, Floats]:
    """Along the equator, flat."""
    metres = speed * np.arange(count)
    return {
        "LATITUDE": np.full(count, 1e-9),
        "LONGITUDE": metres / DEG_M,
        "SPEED": np.full(count, speed),
    }


def test_a_steady_run_is_what_it_is() -> None:
    summary = run(**steady_run())
    assert summary.elapsed_s == summary.moving_s == 3_600
    assert summary.distance_source is DistanceSource.POSITIONS
    assert summary.distance_m == pytest.approx(10_800, rel=1e-6)
    assert summary.average_speed_mps == pytest.approx(3.0, rel=1e-6)
    assert [effort.distance_m for effort in summary.best_efforts] == [
        400.0,
        MILE_M / 2,
        1_000.0,
        MILE_M,
        2 * MILE_M,
        5_000.0,
        10_000.0,
    ]
    for effort in summary.best_efforts:
        assert effort.duration_s == pytest.approx(effort.distance_m / 3.0, rel=1e-5)
    assert len(summary.laps) == 11
    assert summary.laps[0].elapsed_s == pytest.approx(1_000 / 3)
    assert summary.laps[-1].distance_m == pytest.approx(800, rel=1e-4)
    assert summary.formula == "summary/1"


def test_haversine_knows_a_quarter_of_the_globe_and_the_antimeridian() -> None:
    one = np.array([0.0])
    quarter = haversine_m(one, one, one + 90, one)[0]
    assert quarter == pytest.approx(EARTH_RADIUS_M * math.pi / 2)
    across = haversine_m(one, one + 179.9, one, one - 179.9)[0]
    assert across == pytest.approx(0.2 * DEG_M)


def test_a_run_across_the_antimeridian_is_no_trip_around_the_world() -> None:
    columns = steady_run()
    columns["LONGITUDE"] = (columns["LONGITUDE"] + 179.95 + 180) % 360 - 180
    assert run(**columns).distance_m == pytest.approx(10_800, rel=1e-4)


@pytest.mark.parametrize("at", [0, 1, 1_800, 3_599, 3_600])
def test_one_bad_point_does_not_make_11_000_km(at: int) -> None:
    columns = steady_run()
    columns["LATITUDE"][at], columns["LONGITUDE"][at] = 51.5, -100.0
    assert run(**columns).distance_m == pytest.approx(10_800, abs=4)


def test_a_run_of_bad_points_and_a_fix_at_zero_count_nothing() -> None:
    columns = steady_run()
    columns["LATITUDE"][1_000:1_010] = 40.0
    columns["LATITUDE"][2_000] = columns["LONGITUDE"][2_000] = 0.0
    assert run(**columns).distance_m == pytest.approx(10_800, abs=40)


def test_the_devices_distance_is_preferred_and_ours_kept_beside_it() -> None:
    summary = summarise(
        seconds(3_601), steady_run(), Sport.RUNNING, DeviceClaims(distance_m=10_500.0)
    )
    assert (summary.distance_m, summary.distance_source) == (
        10_500.0,
        DistanceSource.DEVICE_SUMMARY,
    )
    assert summary.computed_distance_m == pytest.approx(10_800, rel=1e-6)


@pytest.mark.parametrize("claim", [math.nan, math.inf, -1.0])
def test_a_device_distance_that_is_none_is_not_taken(claim: float) -> None:
    summary = summarise(seconds(3_601), steady_run(), Sport.RUNNING, DeviceClaims(claim))
    assert summary.distance_source is DistanceSource.POSITIONS


def test_the_distance_channel_survives_resets_and_later_legs() -> None:
    metres = np.concatenate((np.arange(500.0, 1_000), np.arange(0.0, 500))) * 2
    summary = run(DISTANCE=metres)
    assert summary.distance_source is DistanceSource.DEVICE_CHANNEL
    assert summary.distance_m == pytest.approx(1_996)


def test_a_jump_in_the_distance_channel_is_not_run() -> None:
    metres = line(1_000, 3.0)
    metres[500] = 9_000_000.0
    assert run(DISTANCE=metres).distance_m == pytest.approx(2_997, abs=10)


def test_without_positions_speed_is_integrated() -> None:
    speed = np.full(101, 4.0)
    speed[50] = np.nan
    summary = run(SPEED=speed)
    assert (summary.distance_m, summary.distance_source) == (400.0, DistanceSource.SPEED)
    assert summary.computed_distance_m is None


def test_noise_is_no_climb_of_14_500_m() -> None:
    rng = np.random.default_rng(1967)
    for sigma in (1.0, 4.0, 10.0):
        summary = run(ALTITUDE=200 + rng.normal(0, sigma, 3_600))
        assert summary.ascent_m is not None
        assert summary.ascent_m < 250
        raw = np.maximum(np.diff(rng.normal(0, sigma, 3_600)), 0).sum()
        assert summary.ascent_m < 0.05 * raw


def test_a_hill_is_climbed_once_up_and_once_down() -> None:
    hill = np.concatenate((np.linspace(100, 400, 1_500), np.linspace(400, 150, 1_500)))
    summary = run(ALTITUDE=hill)
    assert summary.ascent_m == pytest.approx(300, abs=2)
    assert summary.descent_m == pytest.approx(250, abs=2)


def test_waves_below_the_hysteresis_are_flat_and_above_it_are_counted() -> None:
    waves = np.sin(np.arange(3_601) * 2 * math.pi / 600)
    assert run(ALTITUDE=100 + waves).ascent_m == 0
    assert run(ALTITUDE=100 + 10 * waves).ascent_m == pytest.approx(6 * 20, rel=0.02)


def test_an_altitude_that_jumps_while_it_settles_is_no_climb() -> None:
    altitude = np.full(600, 290.0)
    altitude[:5] = [0, 60, 140, 220, 260]
    assert run(ALTITUDE=altitude).ascent_m == pytest.approx(0, abs=5)


def test_pauses_of_the_device_are_not_moved_in_even_where_they_overlap() -> None:
    pauses = tuple(
        Span(START_MS + a, START_MS + b)
        for a, b in [
            (100_500, 200_000),
            (150_000, 160_000),
            (190_000, 300_000),
            (-9_000, -1),
            (4_000_000, 5_000_000),
        ]
    )
    summary = summarise(
        seconds(1_001), steady_run(1_001), Sport.RUNNING, DeviceClaims(pauses=pauses)
    )
    assert summary.moving_s == pytest.approx(1_000 - 199.5)
    assert summary.computed_distance_m == pytest.approx(3 * (1_000 - 199.5), rel=1e-3)


def test_standing_is_not_moving() -> None:
    columns = steady_run(1_001)
    columns["SPEED"][400:600] = 0.0
    columns["LONGITUDE"][400:600] = columns["LONGITUDE"][400]
    summary = run(**columns)
    assert summary.elapsed_s == 1_000
    assert summary.moving_s == pytest.approx(800, abs=2)


def test_a_gap_that_was_ridden_through_moves_and_one_without_movement_stands() -> None:
    times = seconds(201)
    times[100:] += 300_000
    metres = line(201, 10.0)
    stood = summarise(times, {"DISTANCE": metres}, Sport.CYCLING)
    assert stood.moving_s == pytest.approx(200, abs=2)
    metres[100:] += 2_500
    ridden = summarise(times, {"DISTANCE": metres}, Sport.CYCLING)
    assert ridden.elapsed_s == ridden.moving_s == 500


def test_indoors_without_a_sensor_everything_moves_but_the_silences() -> None:
    times = seconds(101)
    times[50:] += 600_000
    summary = summarise(
        times, {"HEART_RATE": np.full(101, 120.0), "DISTANCE": np.zeros(101)}, Sport.CYCLING
    )
    assert (summary.elapsed_s, summary.moving_s) == (700, 99)


def test_27_days_of_silence_are_elapsed_but_not_moved() -> None:
    times = seconds(200)
    times[100:] += 27 * 86_400_000
    columns = steady_run(200)
    summary = summarise(times, columns, Sport.RUNNING)
    assert summary.elapsed_s == 27 * 86_400 + 199
    assert summary.moving_s == pytest.approx(198, abs=1)
    assert summary.distance_m == pytest.approx(594, abs=1)


def test_a_clock_that_was_set_back_adds_nothing() -> None:
    times = seconds(1_001)
    times[500:] -= 3_600_000
    summary = summarise(times, steady_run(1_001), Sport.RUNNING)
    assert summary.elapsed_s == 999
    assert summary.moving_s == 999
    assert summary.distance_m == pytest.approx(2_997, abs=4)


def test_a_dropped_strap_is_not_a_heart_rate_of_zero() -> None:
    (rate,) = run(HEART_RATE=np.array([0.0, 100.0, 120.0, np.nan, 255.0, 400.0])).channels
    assert (rate.min, rate.max, rate.count) == (100.0, 255.0, 3)
    assert rate.average == pytest.approx(475 / 3)


def test_a_position_has_no_average_and_a_developers_largest_doubles_have() -> None:
    columns = steady_run(10) | {"own": np.full(10, 1.7e308)}
    channels = {channel.channel: channel for channel in run(**columns).channels}
    assert set(channels) == {"SPEED", "own"}
    assert channels["own"].average == pytest.approx(1.7e308)


def test_a_best_effort_is_found_inside_a_slower_run() -> None:
    speed = np.full(1_201, 2.5)
    speed[300:500] = 5.0
    summary = run(DISTANCE=np.concatenate(([0.0], np.cumsum(speed[1:]))))
    best = summary.best_efforts[0]
    assert best.distance_m == 400
    assert best.duration_s == pytest.approx(80)
    assert 299 <= best.start_offset_s <= 419


def test_a_best_effort_counts_the_pause_within_it_and_never_beats_physics() -> None:
    times = seconds(401)
    times[200:] += 60_000
    summary = summarise(times, {"DISTANCE": line(401, 2.0)}, Sport.RUNNING)
    assert summary.best_efforts[0].duration_s == pytest.approx(200, abs=1.1)
    teleported = line(401, 2.0)
    teleported[200:] += 500
    (effort,) = summarise(seconds(401), {"DISTANCE": teleported}, Sport.RUNNING).best_efforts[:1]
    assert effort.duration_s * 12.5 >= 400


def test_the_devices_laps_are_measured_and_its_own_figures_kept() -> None:
    columns = steady_run(601) | {"HEART_RATE": np.repeat([100.0, 150.0], [300, 301])}
    laps = (
        DeviceLap(Span(START_MS, START_MS + 300_000)),
        DeviceLap(Span(START_MS + 300_000, START_MS + 600_000), distance_m=1_000.0, moving_s=250.0),
    )
    first, second = summarise(seconds(601), columns, Sport.RUNNING, DeviceClaims(laps=laps)).laps
    assert (first.average_heart_rate_bpm, second.average_heart_rate_bpm) == (100.0, 150.0)
    assert (first.start_offset_s, second.start_offset_s) == (0.0, 300.0)
    assert first.distance_m == pytest.approx(900, rel=1e-5)
    assert (second.distance_m, second.moving_s, second.average_speed_mps) == (1_000.0, 250.0, 4.0)
    assert first.average_power_w is None


def test_automatic_laps_are_bounded() -> None:
    metres = np.linspace(0, 3_000_000, 300_001)
    assert len(summarise(seconds(300_001), {"DISTANCE": metres}, Sport.RUNNING).laps) == MAX_LAPS


def test_no_samples_are_an_empty_summary_with_the_devices_distance() -> None:
    empty = np.empty(0, np.int64)
    assert summarise(empty, {}, Sport.OTHER) == Summary()
    claimed = summarise(empty, {"SPEED": np.empty(0)}, Sport.OTHER, DeviceClaims(distance_m=5.0))
    assert (claimed.distance_m, claimed.elapsed_s) == (5.0, None)


def test_one_sample_lasts_no_time() -> None:
    summary = run(**{name: np.array([50.0]) for name in CANONICAL})
    assert (summary.elapsed_s, summary.moving_s) == (0, 0)
    assert summary.average_speed_mps is None
    assert summary.best_efforts == ()


ODD = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-200, 200),
    st.sampled_from([0.0, np.nan, 90.0, -180.0, 180.0, 1e300]),
)


@st.composite
def odd_activities(draw: st.DrawFn) -> Summary:
    count = draw(st.integers(0, 40))
    steps = st.one_of(st.just(1000), st.integers(-5_000, 40_000), st.integers(-(2**31), 2**31))
    times = START_MS + np.cumsum(draw(arrays(np.int64, count, elements=steps)), dtype=np.int64)
    names = draw(st.lists(st.sampled_from([*CANONICAL, "own"]), unique=True))
    columns = {name: draw(arrays(np.float64, count, elements=ODD)) for name in names}
    instants = st.integers(START_MS - 2**33, START_MS + 2**36)
    spans = st.builds(Span, instants, instants)
    claims = st.none() | st.builds(
        DeviceClaims,
        st.none() | st.floats(),
        st.lists(
            st.builds(DeviceLap, spans, st.none() | st.floats(), st.none() | st.floats()),
            max_size=4,
        ).map(tuple),
        st.lists(spans, max_size=4).map(tuple),
    )
    return summarise(times, columns, draw(st.sampled_from(Sport)), draw(claims))


@given(odd_activities())
@settings(max_examples=600, deadline=None)
def test_however_odd_the_data_the_summary_is_sane(summary: Summary) -> None:
    for value in (
        summary.elapsed_s,
        summary.moving_s,
        summary.distance_m,
        summary.computed_distance_m,
        summary.ascent_m,
        summary.descent_m,
        summary.average_speed_mps,
    ):
        assert value is None or (math.isfinite(value) and value >= 0)
    if summary.elapsed_s is not None and summary.moving_s is not None:
        assert summary.moving_s <= summary.elapsed_s
    for channel in summary.channels:
        assert channel.count >= 1
        assert -math.inf < channel.min <= channel.average <= channel.max < math.inf
    for effort in summary.best_efforts:
        assert 0 < effort.duration_s <= (summary.elapsed_s or 0)
        assert 0 <= effort.start_offset_s <= (summary.elapsed_s or 0)
    assert len(summary.laps) <= MAX_LAPS
    for lap in summary.laps:
        assert lap.elapsed_s >= 0
        assert lap.moving_s is None or 0 <= lap.moving_s <= lap.elapsed_s
        for part in (lap.distance_m, lap.average_heart_rate_bpm, lap.average_speed_mps):
            assert part is None or (math.isfinite(part) and part >= 0)


@given(st.integers(2, 200), st.floats(0.5, 11.0))
@settings(deadline=None)
def test_laps_add_up_to_the_whole(count: int, speed: float) -> None:
    summary = run(DISTANCE=line(count, 10 * speed), SPEED=np.full(count, speed))
    assert sum(lap.distance_m or 0 for lap in summary.laps) == pytest.approx(summary.distance_m)
    assert sum(lap.elapsed_s for lap in summary.laps) == pytest.approx(summary.elapsed_s)
