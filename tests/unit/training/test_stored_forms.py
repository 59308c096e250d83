"""What is stored comes back; what is damaged is refused."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.training.samples.rules.archive import (
    decode_column,
    decode_times,
    encode_column,
    encode_times,
)
from services.training.samples.rules.batches import RawBatch, RawColumn, check_batch
from services.training.samples.rules.channels import ChannelSpec, Encoding
from services.training.samples.rules.chunks import decode_chunk, encode_batches
from services.training.samples.rules.columns import (
    Raw,
    RawValues,
    SessionColumns,
    join,
    measured,
)
from services.training.samples.rules.errors import StoredBytesDamaged
from tests.unit.training.made_sessions import (
    START_MS,
    bits,
    eight_channels,
    raw_ride,
    ride_batches,
)

MIXED = (
    ChannelSpec("HEART_RATE", "bpm"),
    ChannelSpec("own", "", encoding=Encoding.FLOAT64),
    ChannelSpec("SPEED", "m/s", scale=0.001, offset=0.5),
)


@st.composite
def sessions(draw: st.DrawFn) -> list[RawBatch]:
    """Batches under MIXED: any values, gaps, missing columns, clocks that go back."""
    batches = []
    for seq in range(1, draw(st.integers(1, 4)) + 1):
        count = draw(st.integers(1, 20))
        deltas = draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=count, max_size=count))
        columns = []
        for channel in draw(st.lists(st.sampled_from([0, 1, 2]), unique=True)):
            values: Raw
            if MIXED[channel].encoding is Encoding.INT32:
                values = draw(arrays(np.int32, count))
            else:
                values = draw(arrays(np.float64, count, elements={"allow_nan": False}))
            flags = draw(st.none() | st.lists(st.booleans(), min_size=count, max_size=count))
            validity = b"" if flags is None else bits(flags)
            columns.append(RawColumn(channel, values.tobytes(), validity))
        packed = struct.pack(f"<{count}i", 0, *deltas[1:])
        batches.append(RawBatch(seq, START_MS + seq, packed, tuple(columns)))
    return batches


def joined(batches: Sequence[RawBatch], channels: Sequence[ChannelSpec]) -> SessionColumns:
    """What is read of these batches once they are stored."""
    return join(decode_chunk(encode_batches(batches), channels), channels)


@given(sessions())
def test_a_live_chunk_comes_back_byte_for_byte(batches: list[RawBatch]) -> None:
    pieces = decode_chunk(encode_batches(batches), MIXED)
    assert pieces.counts == [batch.samples for batch in batches]
    assert pieces.first_time_ms == [batch.first_time_ms for batch in batches]
    assert pieces.time_deltas_ms == [batch.time_deltas_ms for batch in batches]
    for place, batch in enumerate(batches):
        sent = {column.channel: column for column in batch.columns}
        for channel, lane in enumerate(pieces.lanes):
            size = (batch.samples + 7) // 8
            if channel not in sent:
                assert lane.values[place].count(0) == len(lane.values[place])
                assert lane.validity[place] == bytes(size)
                continue
            assert lane.values[place] == sent[channel].values
            assert lane.validity[place] == (sent[channel].validity or b"\xff" * size)
    for channel in range(len(MIXED)):
        sent_by = [[c for c in batch.columns if c.channel == channel] for batch in batches]
        whole = all(columns and not columns[0].validity for columns in sent_by)
        assert (channel in pieces.gapped) is not whole


@given(sessions())
def test_an_archive_keeps_every_time_value_and_gap(batches: list[RawBatch]) -> None:
    session = joined(batches, MIXED)
    assert np.array_equal(decode_times(encode_times(session.time_ms)), session.time_ms)
    for column in session.channels:
        again = decode_column(encode_column(column))
        valid = np.ones(len(column.raw), bool) if column.valid is None else column.valid
        valid_again = np.ones(len(again.raw), bool) if again.valid is None else again.valid
        assert np.array_equal(valid, valid_again)
        assert again.raw.dtype == column.raw.dtype
        assert again.raw[valid].tobytes() == column.raw[valid].tobytes()


@given(sessions())
def test_joined_columns_are_the_samples_in_their_order(batches: list[RawBatch]) -> None:
    session = joined(batches, MIXED)
    times, rates = [], []
    for batch in batches:
        deltas = struct.unpack(f"<{batch.samples}i", batch.time_deltas_ms)
        times += [batch.first_time_ms + sum(deltas[: n + 1]) for n in range(len(deltas))]
        mine = {column.channel: column for column in batch.columns}.get(0)
        for n in range(batch.samples):
            has = mine is not None and (not mine.validity or mine.validity[n // 8] >> n % 8 & 1)
            rates.append(
                float(struct.unpack_from("<i", mine.values, 4 * n)[0]) if mine and has else None
            )
    assert session.time_ms.tolist() == times
    values = measured(MIXED[0], session.channels[0])
    assert [None if np.isnan(value) else value for value in values.tolist()] == rates


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("per_batch", [5, 100, 3_600])
def test_an_hour_is_the_same_however_it_was_cut(encoding: Encoding, per_batch: int) -> None:
    channels, batches = eight_channels(encoding), ride_batches(3_600, per_batch, encoding)
    chunks = encode_batches(batches[:3]) + encode_batches(batches[3:])
    session = join(decode_chunk(chunks, channels), channels)
    assert np.array_equal(session.time_ms, START_MS + 1000 * np.arange(3_600))
    for column, expected in zip(session.channels, raw_ride(3_600), strict=True):
        assert np.array_equal(decode_column(encode_column(column)).raw, expected)


def test_an_hour_of_eight_channels_is_kept_in_under_36_kb() -> None:
    session = joined(ride_batches(3_600, 100, Encoding.INT32), eight_channels(Encoding.INT32))
    size = len(encode_times(session.time_ms)) + sum(len(encode_column(c)) for c in session.channels)
    assert size < 36_000


def test_scale_offset_and_gaps_are_applied() -> None:
    column = RawValues(np.array([1000, 2000, 7], np.int32), np.array([True, True, False]))
    values = measured(MIXED[2], column)
    assert values[:2].tolist() == [1.5, 2.5]
    assert np.isnan(values[2])


def test_no_batches_are_no_samples() -> None:
    session = joined([], MIXED)
    assert len(session.time_ms) == 0
    assert [len(column.raw) for column in session.channels] == [0, 0, 0]
    assert len(decode_times(encode_times(session.time_ms))) == 0


CHUNK = encode_batches(ride_batches(20, 10, Encoding.INT32))
BLOB = encode_column(RawValues(np.arange(50, dtype=np.int32), np.arange(50) % 7 > 0))


@given(st.integers(0, len(CHUNK) - 1), st.integers(1, 255))
def test_a_flipped_byte_in_a_chunk_is_found(at: int, flip: int) -> None:
    damaged = CHUNK[:at] + bytes([CHUNK[at] ^ flip]) + CHUNK[at + 1 :]
    with pytest.raises(StoredBytesDamaged):
        decode_chunk(damaged, eight_channels(Encoding.INT32))


@given(st.integers(0, len(BLOB) - 1), st.integers(1, 255))
def test_a_flipped_byte_in_an_archive_is_found(at: int, flip: int) -> None:
    damaged = BLOB[:at] + bytes([BLOB[at] ^ flip]) + BLOB[at + 1 :]
    with pytest.raises(StoredBytesDamaged):
        decode_column(damaged)


@given(st.integers(1, len(CHUNK) - 1))
def test_a_cut_chunk_gives_whole_batches_or_is_refused(size: int) -> None:
    one = len(CHUNK) // 2
    if size == one:
        assert decode_chunk(CHUNK[:size], eight_channels(Encoding.INT32)).counts == [10]
        return
    with pytest.raises(StoredBytesDamaged):
        decode_chunk(CHUNK[:size], eight_channels(Encoding.INT32))


@given(st.integers(0, len(BLOB) - 1))
def test_a_cut_archive_is_refused(size: int) -> None:
    with pytest.raises(StoredBytesDamaged):
        decode_column(BLOB[:size])


def test_a_chunk_read_under_other_channels_is_refused() -> None:
    with pytest.raises(StoredBytesDamaged, match="names channel"):
        decode_chunk(CHUNK, MIXED)
    with pytest.raises(StoredBytesDamaged, match="its channels need"):
        decode_chunk(CHUNK, eight_channels(Encoding.FLOAT64))


def test_a_channel_that_a_batch_names_twice_is_refused() -> None:
    twice = RawBatch(1, START_MS, bytes(4), (RawColumn(0, bytes(4)), RawColumn(0, bytes(4))))
    with pytest.raises(StoredBytesDamaged, match="names channel 0 twice"):
        decode_chunk(encode_batches([twice]), MIXED)


def test_times_and_channels_are_not_taken_for_each_other() -> None:
    with pytest.raises(StoredBytesDamaged, match="not times"):
        decode_times(BLOB)
    with pytest.raises(StoredBytesDamaged, match="not a channel"):
        decode_column(encode_times(np.arange(3)))


def test_a_blob_that_claims_too_much_is_not_unpacked() -> None:
    head = struct.pack("<BBBBII", 0xA1, 1, 1, 0, 2**31, 2**32 - 1)
    with pytest.raises(StoredBytesDamaged, match="2147483648 samples"):
        decode_column(head + struct.pack("<I", crc32(b"x", crc32(head))) + b"x")


def test_the_made_sessions_would_be_accepted() -> None:
    for batch in ride_batches(20, 10, Encoding.FLOAT64):
        assert check_batch(batch, eight_channels(Encoding.FLOAT64)) == 10
