"""The device's line: what each message may do in each phase."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import policy
from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.training.v1 import errors_pb2
from services.integration.telemetry import rules
from services.integration.telemetry.rules import (
    Accepted,
    Ack,
    Closed,
    Flow,
    Limits,
    Line,
    Phase,
    Ping,
    Reject,
    Verdict,
)

LIMITS = Limits(window=4)
ANNA, BORIS = uuid.UUID(int=1), uuid.UUID(int=2)


def streaming(resume_from_seq: int = 1, limits: Limits = LIMITS) -> Line:
    line = Line(limits)
    assert line.open() is None
    assert line.opened(resume_from_seq) is not None
    return line


def refusal(line: Line, seq: int) -> tuple[str, int]:
    answers = line.batch(seq, 1, 10)
    assert isinstance(answers, tuple)
    told = answers[-1]
    assert isinstance(told, Reject)
    assert told.seq == seq
    return told.reason, told.resume_from_seq


def test_the_scope_is_the_contracts() -> None:
    method = pb.DESCRIPTOR.services_by_name["TelemetryService"].methods_by_name["StreamTelemetry"]
    rules_of = policy.policy_of(method)
    assert rules_of is not None
    assert rules_of.scope == rules.SCOPE


def test_the_reasons_are_trainings() -> None:
    names = {
        name.removeprefix("ERROR_REASON_")
        for name in errors_pb2.ErrorReason.DESCRIPTOR.values_by_name
    }
    assert {"BATCH_OUT_OF_ORDER", "BATCH_TOO_LARGE", "SESSION_CLOSED"} <= names


def test_accepted_is_said_once_and_says_where_to_go_on() -> None:
    line = Line(LIMITS)
    line.open()
    assert line.opened(8) == Accepted(8, 4, 3600, "")
    assert line.opened(9) is None
    assert line.batch(8, 1, 10) is Verdict.TAKE


def test_nothing_is_taken_before_open_nor_before_accepted() -> None:
    line = Line(LIMITS)
    assert refusal(line, 1) == ("OPEN_MISSING", 0)
    assert isinstance(line.close(0), Reject)
    line.open()
    assert refusal(line, 1) == ("BATCH_OUT_OF_ORDER", 0)
    assert isinstance(line.close(0), Reject)
    assert line.phase is Phase.OPENING


def test_batches_are_taken_in_order_only() -> None:
    line = streaming()
    assert line.batch(1, 1, 10) is Verdict.TAKE
    assert refusal(line, 3) == ("BATCH_OUT_OF_ORDER", 2)
    assert refusal(line, 0) == ("BATCH_OUT_OF_ORDER", 2)
    assert line.batch(2, 1, 10) is Verdict.TAKE


def test_what_is_durable_is_acknowledged_again_what_is_under_way_is_not() -> None:
    line = streaming()
    line.batch(1, 1, 10)
    line.batch(2, 1, 10)
    line.acknowledged(1)
    line.ack()
    assert line.batch(2, 1, 10) is Verdict.UNDER_WAY
    assert not line.owes_ack
    assert line.batch(1, 1, 10) is Verdict.AGAIN
    assert line.ack_is_due
    assert line.ack() == Ack(1)
    assert not line.owes_ack


def test_the_window_is_kept_and_moves_with_what_is_durable() -> None:
    line = streaming()
    assert [line.batch(seq, 1, 10) for seq in range(1, 5)] == [Verdict.TAKE] * 4
    told = line.batch(5, 1, 10)
    assert isinstance(told, tuple)
    assert told[0] == Flow(4)
    assert refusal(line, 5) == ("BATCH_OUT_OF_ORDER", 5)
    line.acknowledged(1)
    assert line.batch(5, 1, 10) is Verdict.TAKE


@pytest.mark.parametrize(
    ("samples", "size", "taken"),
    [(3600, 10, True), (3601, 10, False), (1, 3 << 20, True), (1, (3 << 20) + 1, False)],
)
def test_a_batch_has_its_bounds(samples: int, size: int, taken: bool) -> None:
    verdict = streaming().batch(1, samples, size)
    assert (verdict is Verdict.TAKE) is taken
    if isinstance(verdict, tuple):
        assert isinstance(verdict[0], Reject)
        assert (verdict[0].reason, verdict[0].resume_from_seq) == ("BATCH_TOO_LARGE", 1)


def test_acknowledgements_gather_by_ten_unless_all_is_durable() -> None:
    line = streaming(limits=Limits(window=64))
    for seq in range(1, 26):
        line.batch(seq, 1, 10)
    due = []
    for seq in range(1, 26):
        line.acknowledged(seq)
        if line.ack_is_due:
            due.append(line.ack().seq)
    assert due == [10, 20, 25]


def test_a_close_waits_for_every_batch_before_it() -> None:
    line = streaming()
    line.batch(1, 1, 10)
    told = line.close(2)
    assert isinstance(told, Reject)
    assert (told.seq, told.resume_from_seq) == (0, 2)
    assert line.close(1) is None
    assert refusal(line, 2) == ("BATCH_OUT_OF_ORDER", 2)
    assert line.finished("a") == Closed("a")


def test_a_refused_close_lets_the_session_go_on() -> None:
    line = streaming()
    line.close(0)
    line.refused(0)
    assert line.batch(1, 1, 10) is Verdict.TAKE


def test_a_refused_batch_and_all_after_it_come_anew() -> None:
    line = streaming()
    for seq in (1, 2, 3):
        line.batch(seq, 1, 10)
    line.acknowledged(1)
    line.refused(2)
    assert line.resume_from_seq == 2
    assert line.batch(2, 1, 10) is Verdict.TAKE


def test_a_session_that_was_finished_before_answers_the_repeated_close() -> None:
    line = streaming(resume_from_seq=4)
    assert line.finished("a") is None
    assert line.close(3) == Closed("a")


def test_a_session_that_was_finished_before_takes_nothing_more() -> None:
    line = streaming(resume_from_seq=4)
    line.finished("a")
    assert refusal(line, 4) == ("SESSION_CLOSED", 4)
    assert line.phase is Phase.OVER


def test_an_open_that_is_answered_with_the_end_is_the_end() -> None:
    line = Line(LIMITS)
    line.open()
    assert line.finished("a") == Closed("a")


@given(st.lists(st.tuples(st.sampled_from(["batch", "durable", "refuse"]), st.integers(0, 12))))
def test_whatever_comes_the_counters_stay_in_order(steps: list[tuple[str, int]]) -> None:
    line = streaming()
    for what, seq in steps:
        before = line.durable
        if what == "batch":
            line.batch(seq, 1, 10)
        elif what == "durable":
            line.acknowledged(min(seq, line.taken))
        elif seq > line.durable:
            line.refused(seq)
        if line.ack_is_due:
            line.ack()
        assert before <= line.durable
        assert line.told <= line.durable <= line.taken
        assert line.under_way <= LIMITS.window


NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("offset_ms", "round_trip_ms", "reading"),
    [(-7, 30, (-7, 30)), (None, 30, None), (7, None, None), (1 << 60, 1, None), (0, 0, (0, 0))],
)
def test_only_a_clock_that_was_measured_is_told(
    offset_ms: int | None, round_trip_ms: int | None, reading: tuple[int, int] | None
) -> None:
    assert rules.clock_reading(Ping(None, offset_ms, round_trip_ms, NOW)) == reading


def test_only_the_same_person_with_the_same_right_renews() -> None:
    assert rules.renewal_refused(ANNA, ANNA, {rules.SCOPE}) is None
    other = rules.renewal_refused(ANNA, BORIS, {rules.SCOPE})
    assert other is not None
    assert other.reason == "TOKEN_OF_ANOTHER"
    less = rules.renewal_refused(ANNA, ANNA, {"devices.read"})
    assert less is not None
    assert less.reason == "SCOPE_MISSING"
