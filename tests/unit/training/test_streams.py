"""Which samples are drawn, and how they are printed."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.training.samples.json_streams import streams_json
from services.training.samples.rules.streams import Streams, decimals_of, downsample


@st.composite
def streams(draw: st.DrawFn) -> Streams:
    count = draw(st.integers(0, 120))
    times = np.cumsum(draw(arrays(np.int64, count, elements=st.integers(-2_000, 5_000))))
    values = st.floats(-1e6, 1e6) | st.just(math.nan)
    names = draw(st.integers(0, 4))
    columns = {str(n): draw(arrays(np.float64, count, elements=values)) for n in range(names)}
    return Streams(times.astype(np.int64), columns)


@given(streams(), st.integers(1, 130))
@settings(deadline=None)
def test_points_are_samples_in_their_order_and_never_too_many(
    source: Streams, resolution: int
) -> None:
    drawn = downsample(source, resolution)
    count = len(source.time_ms)
    assert len(drawn.time_ms) == min(count, resolution)
    rows = list(zip(source.time_ms.tolist(), *map(_exact, source.channels.values()), strict=True))
    kept = list(zip(drawn.time_ms.tolist(), *map(_exact, drawn.channels.values()), strict=True))
    remaining = iter(rows)
    assert all(row in remaining for row in kept), "not a subsequence of the samples"
    assert kept[:1] == rows[:1]
    if resolution > 1:
        assert kept[-1:] == rows[-1:]


@given(streams(), st.integers(2, 130))
@settings(deadline=None)
def test_the_extremes_of_every_channel_are_drawn(source: Streams, resolution: int) -> None:
    if resolution < 2 + 2 * len(source.channels):
        return
    drawn = downsample(source, resolution)
    for name, values in source.channels.items():
        if not np.isnan(values).all():
            assert np.nanmin(drawn.channels[name]) == np.nanmin(values)
            assert np.nanmax(drawn.channels[name]) == np.nanmax(values)


@given(streams(), st.integers(2, 130))
@settings(deadline=None)
def test_every_stretch_keeps_its_extremes(source: Streams, resolution: int) -> None:
    count = len(source.time_ms)
    stretches = (resolution - 2) // (2 * max(len(source.channels), 1))
    if stretches < 1 or count <= resolution:
        return
    size = -(-count // stretches)
    times = np.arange(count)
    drawn = downsample(Streams(times, source.channels), resolution)
    for name, values in source.channels.items():
        for begin in range(0, count, size):
            there = values[begin : begin + size]
            seen = drawn.channels[name][drawn.time_ms // size == begin // size]
            if not np.isnan(there).all():
                assert np.nanmin(seen) == np.nanmin(there)
                assert np.nanmax(seen) == np.nanmax(there)


def _exact(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[str]:
    return [repr(value) for value in values.tolist()]


def test_each_stretch_keeps_its_own_peak() -> None:
    power = np.zeros(10_000)
    power[50::100] = np.arange(100) + 100.0
    drawn = downsample(Streams(np.arange(10_000), {"POWER": power}), 202)
    assert set(drawn.channels["POWER"].tolist()) >= set(power[50::100].tolist())


def test_a_resolution_of_zero_is_all_and_below_it_is_refused() -> None:
    source = Streams(np.arange(5), {})
    assert downsample(source, 0) is source
    with pytest.raises(ValueError, match="-1"):
        downsample(source, -1)


def test_gaps_are_null_and_values_have_their_channels_decimals() -> None:
    source = Streams(
        np.array([0, 1000, 900], np.int64),
        {
            "HEART_RATE": np.array([140.0, math.nan, 141.0]),
            "POWER": np.array([200.0, 0.0, -3.0]),
            "LATITUDE": np.array([521234567, 521234568, 3]) * 1e-7,
            "own": np.array([0.1 + 0.2, math.nan, 1e300]),
        },
    )
    text = streams_json(source, {"HEART_RATE": 0, "POWER": 0, "LATITUDE": 7})
    assert text == (
        b'{"timeMs":[0,1000,900],"channels":{"HEART_RATE":[140,null,141],"POWER":[200,0,-3],'
        b'"LATITUDE":[52.1234567,52.1234568,3e-7],"own":[0.30000000000000004,null,1e+300]}}'
    )


@given(arrays(np.float64, 8), st.none() | st.integers(0, 9))
def test_whatever_was_measured_the_text_is_json(values: object, decimals: int | None) -> None:
    assert isinstance(values, np.ndarray)
    chosen = {} if decimals is None else {"own": decimals}
    document = json.loads(streams_json(Streams(np.arange(8), {"own": values}), chosen))
    assert document["timeMs"] == list(range(8))
    for printed, value in zip(document["channels"]["own"], values.tolist(), strict=True):
        if not math.isfinite(value):
            assert printed is None
        elif printed is None:
            assert decimals == 0
            assert abs(value) >= 2**53
        else:
            step = 10.0 ** -(decimals or 0) / 2
            slack = step * 1.001 + abs(value) * 1e-15
            assert printed == value if decimals is None else abs(printed - value) <= slack


def test_no_points_are_empty_arrays() -> None:
    empty = Streams(np.empty(0, np.int64), {"POWER": np.empty(0)})
    assert streams_json(empty, {"POWER": 0}) == b'{"timeMs":[],"channels":{"POWER":[]}}'


@pytest.mark.parametrize(
    ("scale", "offset", "decimals"),
    [
        (1, 0, 0),
        (0.001, 0, 3),
        (1e-7, 0, 7),
        (0.2, -500, 1),
        (5, 0, 0),
        (180 / 2**31, 0, 8),
        (1, 0.5, 1),
        (1e-30, 0, 9),
        (-0.01, 0, 2),
        (1e300, 0, 0),
    ],
)
def test_decimals_tell_neighbouring_raw_values_apart(
    scale: float, offset: float, decimals: int
) -> None:
    assert decimals_of(scale, offset) == decimals
