"""The spool under kills, repeats and bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palestra.integration.v1.telemetry_service_pb2 import Close
from palestra.training.v1.telemetry_pb2 import Batch
from palestra_watch.batches import Limits, batch_of, end_of_batch, sample_count, split
from palestra_watch.log_file import MAGIC, SpoolDamaged
from palestra_watch.sources.simulate import simulate
from palestra_watch.spool import Spool, SpoolBusy, SpoolFull
from palestra_watch.state import SourceChanged, begin, open_spool
from tests.unit.watch.sessions import START_MS, recording

SENT = recording(40)


def filled(folder: Path, batches: int = 6, samples: int = 10) -> list[bytes]:
    """A spool with a few batches of the recording; answers with them."""
    with Spool(folder) as spool:
        begin(spool, SENT, "test")
        spool.next_epoch()
        made = []
        for seq in range(1, batches + 1):
            batch = batch_of(SENT, seq, (seq - 1) * samples, seq * samples)
            spool.append(batch, seq * samples)
            made.append(batch.SerializeToString())
        spool.sync()
    return made


def test_what_was_spooled_is_there_after_opening_again(tmp_path: Path) -> None:
    made = filled(tmp_path)
    with Spool(tmp_path) as spool:
        assert [spool.batch(seq).SerializeToString() for seq in range(1, 7)] == made
        assert (spool.epoch, spool.last_seq, spool.next_row) == (1, 6, 60)
        assert spool.next_epoch() == 2


def test_a_kill_at_any_byte_costs_at_most_the_torn_record(tmp_path: Path) -> None:
    made = filled(tmp_path / "whole", batches=3, samples=4)
    whole = (tmp_path / "whole" / "spool.log").read_bytes()
    seen = 0
    for length in range(len(whole) + 1):
        folder = tmp_path / "cut"
        folder.mkdir(exist_ok=True)
        (folder / "spool.log").write_bytes(whole[:length])
        with Spool(folder) as spool:
            assert spool.last_seq >= seen, f"a batch that was whole is gone at byte {length}"
            seen = spool.last_seq
            for seq in range(1, seen + 1):
                assert spool.batch(seq).SerializeToString() == made[seq - 1]
            assert spool.next_row == 4 * seen
            if spool.identity is None:
                begin(spool, SENT, "test")
            batch = batch_of(SENT, seen + 1, 4 * seen, 4 * seen + 4)
            spool.append(batch, 4 * seen + 4)
        with Spool(folder) as spool:
            assert spool.batch(seen + 1) == batch
    assert seen == 3


def test_a_tail_of_zeros_after_a_power_failure_is_dropped(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "spool.log"
    path.write_bytes(path.read_bytes() + bytes(512))
    with Spool(tmp_path) as spool:
        assert spool.last_seq == 6


def test_damage_before_the_end_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "spool.log"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(SpoolDamaged, match="damaged at byte"):
        Spool(tmp_path)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool.log").write_bytes(b"something else")
    with pytest.raises(SpoolDamaged, match="no spool"):
        Spool(tmp_path)
    assert b"something else"[: len(MAGIC)] != MAGIC


def test_two_companions_cannot_have_one_spool(tmp_path: Path) -> None:
    with Spool(tmp_path), pytest.raises(SpoolBusy, match="another companion"):
        Spool(tmp_path)
    Spool(tmp_path).shut()


def test_a_full_spool_says_so_and_takes_more_after_an_acknowledgement(tmp_path: Path) -> None:
    with Spool(tmp_path, largest_bytes=2_000) as spool:
        begin(spool, SENT, "test")
        seq = 1
        while (
            spool.waiting_bytes + len(batch_of(SENT, seq, 0, 5).SerializeToString()) + 16 <= 2_000
        ):
            spool.append(batch_of(SENT, seq, 0, 5), 5)
            seq += 1
        with pytest.raises(SpoolFull, match=f"{seq - 1} batches wait"):
            spool.append(batch_of(SENT, seq, 0, 5), 5)
        spool.acknowledge(1)
        spool.append(batch_of(SENT, seq, 0, 5), 5)


def test_an_acknowledged_spool_shrinks_and_forgets_nothing_else(tmp_path: Path) -> None:
    sent = recording(20_000)
    with Spool(tmp_path) as spool:
        begin(spool, sent, "test")
        spool.next_epoch()
        for seq in range(1, 201):
            spool.append(batch_of(sent, seq, (seq - 1) * 300, seq * 300), seq * 300)
        grown = (tmp_path / "spool.log").stat().st_size
        spool.acknowledge(190)
    assert (tmp_path / "spool.log").stat().st_size < grown / 5
    with Spool(tmp_path) as spool:
        assert (spool.acknowledged_seq, spool.last_seq, spool.next_row) == (190, 200, 60_000)
        assert spool.acknowledged_samples == 57_000
        assert spool.waiting_samples == 3_000
        assert spool.batch(191) == batch_of(sent, 191, 57_000, 57_300)
        assert spool.epoch == 1
        assert spool.identity is not None


def test_waiting_batches_are_cut_anew_without_a_sample_lost(tmp_path: Path) -> None:
    filled(tmp_path)
    with Spool(tmp_path) as spool:
        spool.acknowledge(2)
        assert spool.split_waiting(3)
        assert not spool.split_waiting(3)
    with Spool(tmp_path) as spool:
        assert spool.waiting_samples == 40
        assert spool.next_row == 60
        times: list[int] = []
        for seq in range(3, spool.last_seq + 1):
            batch = spool.batch(seq)
            assert batch.seq == seq
            assert sample_count(batch) <= 3
            deltas = np.frombuffer(batch.time_deltas_ms, dtype="<i4").astype(np.int64)
            times += (batch.first_time_ms + np.cumsum(deltas)).tolist()
        assert times == SENT.time_ms[20:60].tolist()


def test_nothing_follows_a_close_and_no_number_is_skipped(tmp_path: Path) -> None:
    filled(tmp_path)
    with Spool(tmp_path) as spool:
        with pytest.raises(ValueError, match="cannot follow"):
            spool.append(Batch(seq=9, time_deltas_ms=bytes(4)), 61)
        spool.append_close(Close(last_seq=6))
        with pytest.raises(ValueError, match="cannot follow"):
            spool.append(batch_of(SENT, 7, 60, 61), 61)
    with Spool(tmp_path) as spool:
        assert spool.close_message == Close(last_seq=6)
        spool.finish("users/x/activities/y")
    with Spool(tmp_path) as spool:
        assert spool.activity == "users/x/activities/y"


def test_the_same_source_is_the_same_session_until_it_is_finished(tmp_path: Path) -> None:
    with open_spool(tmp_path, "file|1", "ada", again=False) as spool:
        first = begin(spool, SENT, "file|1").session
    with open_spool(tmp_path, "file|1", "ada", again=True) as spool:
        assert begin(spool, SENT, "file|1").session == first
        spool.finish("done")
    with open_spool(tmp_path, "file|1", "ada", again=False) as spool:
        assert spool.activity == "done"
    with open_spool(tmp_path, "file|1", "ada", again=True) as spool:
        assert spool.identity is None
    with open_spool(tmp_path, "file|1", "ben", again=False) as spool:
        assert begin(spool, SENT, "file|1").session != first
        with pytest.raises(SourceChanged):
            begin(spool, simulate("cycling", 40, 1, START_MS), "file|1")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_batches_hold_every_row_once_within_their_bounds(data: st.DataObject) -> None:
    steps = data.draw(
        st.lists(
            st.sampled_from([0, 1, 250, 1000, -5000, 2**31, -(2**40)]), min_size=1, max_size=60
        )
    )
    times = 1_760_000_000_000 + np.cumsum(np.array(steps, dtype=np.int64))
    span = data.draw(st.sampled_from([None, 1, 1000, 5000]))
    limits = Limits(data.draw(st.integers(1, 9)), span)
    row = 0
    while row < len(times):
        end = end_of_batch(times, row, limits)
        part = times[row:end]
        assert 1 <= len(part) <= limits.samples
        assert (np.abs(np.diff(part)) < 2**31).all()
        assert span is None or (np.abs(part - part[0]) < span).all()
        row = end
    assert row == len(times)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 12))
def test_a_split_batch_holds_the_same_samples(first: int, count: int, largest: int) -> None:
    whole = batch_of(SENT, 1, first, first + count)
    parts = list(split(whole, largest))
    row = first
    for part in parts:
        expected = batch_of(SENT, 1, row, row + sample_count(part))
        assert part == expected
        row += sample_count(part)
    assert row == first + count
