"""What a watcher sees of a batch."""

from __future__ import annotations

import struct

import pytest

from services.training.samples.rules.batches import RawBatch, RawColumn
from services.training.samples.rules.channels import ChannelSpec, Encoding
from services.training.tracker.rules.live import LiveValues, newest_values
from tests.unit.training.made_sessions import START_MS, bits

CHANNELS = (
    ChannelSpec("HEART_RATE", "bpm"),
    ChannelSpec("SPEED", "m/s", scale=0.001),
    ChannelSpec("LATITUDE", "deg", encoding=Encoding.FLOAT64),
    ChannelSpec("LONGITUDE", "deg", encoding=Encoding.FLOAT64),
    ChannelSpec("own", ""),
)
DELTAS = struct.pack("<3i", 0, 1000, 1500)


def newest(*columns: RawColumn) -> LiveValues:
    return newest_values(RawBatch(1, START_MS, DELTAS, columns), CHANNELS)


def ints(*values: int) -> bytes:
    return struct.pack("<3i", *values)


def test_the_last_value_of_each_channel_is_shown_and_pace_follows_speed() -> None:
    live = newest(RawColumn(0, ints(100, 110, 120)), RawColumn(1, ints(0, 0, 2500)))
    assert live == LiveValues(
        START_MS + 2500, heart_rate_bpm=120.0, speed_mps=2.5, pace_s_per_km=400.0
    )


def test_where_the_last_is_missing_the_one_before_it_is_shown() -> None:
    live = newest(RawColumn(0, ints(100, 110, 120), bits([True, True, False])))
    assert live.heart_rate_bpm == 110.0


def test_bits_past_the_last_sample_are_not_read() -> None:
    assert newest(RawColumn(0, ints(100, 110, 120), b"\xf9")).heart_rate_bpm == 100.0
    assert newest(RawColumn(0, ints(100, 110, 120), b"\xf8")).heart_rate_bpm is None


def test_a_dropped_strap_is_no_heart_rate_and_standing_has_no_pace() -> None:
    live = newest(RawColumn(0, ints(100, 110, 0)), RawColumn(1, ints(0, 0, 100)))
    assert live.heart_rate_bpm is None
    assert live.speed_mps == pytest.approx(0.1)
    assert live.pace_s_per_km is None


def test_half_a_position_is_none() -> None:
    values = struct.pack("<3d", 52.0, 52.1, 52.2)
    assert newest(RawColumn(2, values)).latitude_deg is None
    both = newest(RawColumn(2, values), RawColumn(3, values))
    assert (both.latitude_deg, both.longitude_deg) == (52.2, 52.2)


def test_a_developers_channel_alone_gives_only_the_time() -> None:
    assert newest(RawColumn(4, ints(1, 2, 3))) == LiveValues(START_MS + 2500)
