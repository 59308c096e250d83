"""The answer to each frame: repeated, reordered, fenced, after the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.samples.rules.errors import BatchMalformed
from services.training.tracker.rules.errors import (
    BatchOutOfOrder,
    DescriptionChanged,
    SessionClosed,
    SessionFenced,
    SessionUnknown,
)
from services.training.tracker.rules.sessions import (
    BatchAction,
    ClockReading,
    CloseAction,
    OpenAction,
    OpenDecision,
    SessionRow,
    decide_batch,
    decide_clock,
    decide_close,
    decide_open,
)

PRINT = b"p" * 32
ROW = SessionRow(epoch=3, last_seq=7, fingerprint=PRINT)
CLOSED = replace(ROW, closed=True)


def test_a_first_open_creates_the_session() -> None:
    assert decide_open(None, 1, PRINT) == OpenDecision(OpenAction.CREATE, 1)


def test_a_newer_open_takes_over_and_resumes_after_what_is_durable() -> None:
    assert decide_open(ROW, 4, PRINT) == OpenDecision(OpenAction.TAKE_OVER, 8)


def test_the_same_open_again_changes_nothing() -> None:
    assert decide_open(ROW, 3, PRINT) == OpenDecision(OpenAction.REPEAT, 8)


def test_an_older_open_is_fenced_even_after_the_end() -> None:
    for row in (ROW, CLOSED):
        with pytest.raises(SessionFenced) as refused:
            decide_open(row, 2, PRINT)
        assert refused.value.final


def test_an_open_after_the_end_is_answered_with_the_end() -> None:
    assert decide_open(CLOSED, 4, b"other").action is OpenAction.FINISHED


def test_channels_may_change_until_there_are_samples() -> None:
    with pytest.raises(DescriptionChanged) as refused:
        decide_open(ROW, 4, b"other")
    assert refused.value.resume_from_seq == 8
    empty = replace(ROW, last_seq=0)
    assert decide_open(empty, 4, b"other") == OpenDecision(
        OpenAction.TAKE_OVER, 1, replace_description=True
    )


@pytest.mark.parametrize("seq", [1, 6, 7])
def test_a_stored_batch_is_acknowledged_again_even_after_the_end(seq: int) -> None:
    assert decide_batch(ROW, 3, seq) is BatchAction.DUPLICATE
    assert decide_batch(CLOSED, 3, seq) is BatchAction.DUPLICATE


def test_the_next_batch_is_accepted() -> None:
    assert decide_batch(ROW, 3, 8) is BatchAction.ACCEPT


def test_a_batch_after_a_gap_is_told_where_to_resume() -> None:
    with pytest.raises(BatchOutOfOrder) as refused:
        decide_batch(ROW, 3, 9)
    assert (refused.value.seq, refused.value.resume_from_seq) == (9, 8)
    assert not refused.value.final


def test_a_batch_of_an_older_opening_is_fenced_even_where_it_is_stored() -> None:
    for seq in (7, 8):
        with pytest.raises(SessionFenced) as refused:
            decide_batch(ROW, 2, seq)
        assert refused.value.seq == seq


def test_a_batch_of_an_opening_that_was_never_seen_must_open_first() -> None:
    for row, resume in ((None, 1), (ROW, 8)):
        with pytest.raises(SessionUnknown) as refused:
            decide_batch(row, 4, 1)
        assert refused.value.resume_from_seq == resume
        assert not refused.value.final


def test_a_new_batch_after_the_end_is_refused_for_good() -> None:
    with pytest.raises(SessionClosed) as refused:
        decide_batch(CLOSED, 3, 8)
    assert refused.value.final


def test_a_close_finishes_once_all_is_durable_and_may_be_repeated() -> None:
    assert decide_close(ROW, 3, 7) is CloseAction.FINISH
    assert decide_close(CLOSED, 3, 7) is CloseAction.FINISHED


def test_a_close_before_its_batches_is_told_what_is_missing() -> None:
    with pytest.raises(BatchOutOfOrder, match="batches 8 to 9") as refused:
        decide_close(ROW, 3, 9)
    assert (refused.value.seq, refused.value.resume_from_seq) == (0, 8)


def test_a_close_that_would_drop_stored_batches_is_refused() -> None:
    with pytest.raises(BatchMalformed, match="7 are stored"):
        decide_close(ROW, 3, 6)


def test_a_close_past_the_end_of_a_finished_session_is_refused() -> None:
    with pytest.raises(SessionClosed):
        decide_close(CLOSED, 3, 8)


def test_a_close_is_fenced_and_unknown_like_a_batch() -> None:
    with pytest.raises(SessionFenced):
        decide_close(ROW, 2, 7)
    with pytest.raises(SessionUnknown):
        decide_close(None, 1, 0)


def test_a_session_without_samples_can_be_closed() -> None:
    assert decide_close(replace(ROW, last_seq=0), 3, 0) is CloseAction.FINISH


@given(st.lists(st.integers(1, 12), max_size=40))
def test_whatever_the_order_and_repeats_each_batch_is_accepted_once_and_in_order(
    arrivals: list[int],
) -> None:
    row = SessionRow(1, 0, PRINT)
    accepted: list[int] = []
    for seq in arrivals:
        try:
            action = decide_batch(row, 1, seq)
        except BatchOutOfOrder as refused:
            assert refused.resume_from_seq == len(accepted) + 1 < seq
            continue
        if action is BatchAction.ACCEPT:
            accepted.append(seq)
            row = row.after_batch()
    assert accepted == list(range(1, len(accepted) + 1))


@given(st.permutations([ClockReading(5, 40), ClockReading(9, 12), ClockReading(-3, 12)]))
def test_the_shortest_round_trip_wins_in_any_order(readings: list[ClockReading]) -> None:
    stored: ClockReading | None = None
    for reading in readings:
        stored = decide_clock(ROW, 3, stored, reading) or stored
    assert stored == ClockReading(-3, 12)


def test_a_clock_reading_is_refused_or_left_out_where_it_means_nothing() -> None:
    with pytest.raises(BatchMalformed):
        decide_clock(ROW, 3, None, ClockReading(2**62, 10))
    with pytest.raises(SessionFenced):
        decide_clock(ROW, 2, None, ClockReading(0, 10))
    assert decide_clock(CLOSED, 3, None, ClockReading(0, 10)) is None
