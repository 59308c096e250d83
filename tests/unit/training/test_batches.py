"""Which batches are stored, and what those that are not are told."""

from __future__ import annotations

import struct

import pytest

from services.training.samples.rules.batches import (
    EARLIEST_MS,
    LATEST_MS,
    RawBatch,
    RawColumn,
    check_batch,
)
from services.training.samples.rules.channels import ChannelSpec, Encoding
from services.training.samples.rules.errors import BatchMalformed, BatchTooLarge, SessionRefusal
from tests.unit.training.made_sessions import START_MS, bits, eight_channels, ride_batches

CHANNELS = (ChannelSpec("HEART_RATE", "bpm"), ChannelSpec("own", "", encoding=Encoding.FLOAT64))


def int32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def float64(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def batch(
    *columns: RawColumn, deltas: bytes = int32(0, 1000), seq: int = 1, first: int = START_MS
) -> RawBatch:
    return RawBatch(seq, first, deltas, columns)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_ride_as_a_watch_sends_it_is_accepted(encoding: Encoding) -> None:
    counts = [
        check_batch(one, eight_channels(encoding)) for one in ride_batches(250, 100, encoding)
    ]
    assert counts == [100, 100, 50]


def test_a_batch_without_columns_is_a_time_without_a_measurement() -> None:
    assert check_batch(batch(), CHANNELS) == 2


def test_a_clock_that_was_set_back_is_kept() -> None:
    assert check_batch(batch(deltas=int32(0, -3_600_000, 1000)), CHANNELS) == 3


@pytest.mark.parametrize(
    ("refused", "error", "field"),
    [
        (batch(seq=0), BatchMalformed, "seq"),
        (batch(seq=2**63), BatchMalformed, "seq"),
        (batch(deltas=b""), BatchMalformed, "time_deltas_ms"),
        (batch(deltas=b"\0" * 7), BatchMalformed, "time_deltas_ms"),
        (batch(deltas=int32(5, 1000)), BatchMalformed, "time_deltas_ms"),
        (batch(deltas=b"\0" * 4 * 3_601), BatchTooLarge, "time_deltas_ms"),
        (batch(first=EARLIEST_MS - 1), BatchMalformed, "first_time_ms"),
        (batch(first=LATEST_MS), BatchMalformed, "first_time_ms"),
        (batch(first=LATEST_MS - 1000), BatchMalformed, "first_time_ms"),
        (batch(first=-(2**63)), BatchMalformed, "first_time_ms"),
        (batch(deltas=int32(0, -1), first=EARLIEST_MS), BatchMalformed, "first_time_ms"),
        (batch(RawColumn(2, int32(1, 2))), BatchMalformed, "columns"),
        (batch(RawColumn(-1, int32(1, 2))), BatchMalformed, "columns"),
        (batch(*[RawColumn(0, int32(1, 2))] * 2), BatchMalformed, "columns"),
        (batch(*[RawColumn(0, int32(1, 2))] * 65), BatchTooLarge, "columns"),
        (batch(RawColumn(0, int32(1))), BatchMalformed, "columns"),
        (batch(RawColumn(0, int32(1, 2, 3))), BatchMalformed, "columns"),
        (batch(RawColumn(1, int32(1, 2))), BatchMalformed, "columns"),
        (batch(RawColumn(0, int32(1, 2), b"\x03\x00")), BatchMalformed, "columns"),
        (batch(RawColumn(1, float64(1.0, float("nan")))), BatchMalformed, "columns"),
        (
            batch(RawColumn(1, float64(float("inf"), 1.0), bits([True, False]))),
            BatchMalformed,
            "columns",
        ),
    ],
)
def test_a_bad_batch_is_refused_by_number_and_field(
    refused: RawBatch, error: type[SessionRefusal], field: str
) -> None:
    with pytest.raises(error) as raised:
        check_batch(refused, CHANNELS)
    assert raised.value.field == field
    assert raised.value.seq in (refused.seq, 0)
    assert not raised.value.final
    assert str(raised.value)


def test_the_last_allowed_size_and_times_are_accepted() -> None:
    assert check_batch(batch(deltas=b"\0" * 4 * 3_600), CHANNELS) == 3_600
    assert check_batch(batch(first=LATEST_MS - 1001), CHANNELS) == 2
    assert check_batch(batch(first=EARLIEST_MS), CHANNELS) == 2


def test_times_that_only_look_too_wide_are_summed_exactly() -> None:
    wide = int32(0, *([1_000_000_000, -1_000_000_000] * 1_000))
    assert check_batch(batch(deltas=wide, first=EARLIEST_MS), CHANNELS) == 2_001


def test_a_nan_is_allowed_only_where_nothing_was_measured() -> None:
    nan = float64(1.0, float("nan"))
    assert check_batch(batch(RawColumn(1, nan, bits([True, False]))), CHANNELS) == 2
    with pytest.raises(BatchMalformed, match="sample 1 of own"):
        check_batch(batch(RawColumn(1, nan, bits([True, True]))), CHANNELS)


def test_floats_whose_sum_overflows_are_still_finite() -> None:
    huge = float64(1.7e308, 1.7e308)
    assert check_batch(batch(RawColumn(1, huge)), CHANNELS) == 2
