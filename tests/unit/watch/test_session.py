"""The protocol's device side against answers that are late, lost, repeated or false."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palestra_watch.session import GO_BACKS, Phase, Send, Session, SessionRefused, StreamBroken


class Server:
    """A server's truth: the batches that it stored, in order."""

    def __init__(self) -> None:
        self.stored = 0
        self.closed = False

    def take(self, seq: int) -> int | None:
        """Stores the next batch; answers with where to go on if it is another one."""
        if seq > self.stored + 1:
            return self.stored + 1
        self.stored = max(self.stored, seq)
        return None


def streaming(made: int = 10, window: int = 4, complete: bool = False) -> Session:
    """A session whose stream is accepted from the beginning."""
    session = Session(0, made, complete=complete)
    session.opening()
    session.on_accepted(1, window, "a")
    return session


def drain(session: Session) -> list[int | Send]:
    """Sends what may be sent."""
    sent: list[int | Send] = []
    while (what := session.next()) is not Send.NOTHING:
        session.on_sent(what)
        sent.append(what)
    return sent


def test_nothing_goes_out_before_the_session_is_accepted() -> None:
    session = Session(0, 5, complete=True)
    session.opening()
    assert session.next() is Send.NOTHING


def test_at_most_a_window_waits_for_acknowledgement() -> None:
    session = streaming(made=10, window=3)
    assert drain(session) == [1, 2, 3]
    session.on_ack(2)
    assert drain(session) == [4, 5]
    session.on_flow(0)
    session.on_ack(5)
    assert drain(session) == []
    session.on_flow(2)
    assert drain(session) == [6, 7]


def test_the_close_follows_the_last_batch_and_is_sent_once() -> None:
    session = streaming(made=2, window=9, complete=True)
    assert drain(session) == [1, 2, Send.CLOSE]
    session.on_closed("users/u/activities/x")
    assert session.phase is Phase.OVER
    assert session.acknowledged == 2
    assert session.activity == "users/u/activities/x"


def test_a_session_without_batches_is_closed_at_once() -> None:
    assert drain(streaming(made=0, complete=True)) == [Send.CLOSE]


def test_a_refused_batch_is_sent_again_and_the_close_after_it() -> None:
    session = streaming(made=3, window=9, complete=True)
    drain(session)
    session.on_reject(2, "BATCH_OUT_OF_ORDER", "", 2)
    assert drain(session) == [2, 3, Send.CLOSE]
    assert session.sent_again == 2


def test_a_late_refusal_never_goes_behind_what_is_durable() -> None:
    session = streaming(made=9, window=9)
    drain(session)
    session.on_ack(7)
    session.on_reject(3, "BATCH_OUT_OF_ORDER", "", 3)
    assert drain(session) == [8, 9]


def test_endless_refusals_end_the_stream_and_not_the_session() -> None:
    session = streaming(made=3)
    for _ in range(GO_BACKS):
        drain(session)
        session.on_reject(1, "BATCH_OUT_OF_ORDER", "", 1)
    with pytest.raises(StreamBroken):
        session.on_reject(1, "BATCH_OUT_OF_ORDER", "", 1)


@pytest.mark.parametrize("seq", [5, 11, 2**63])
def test_an_acknowledgement_of_what_was_not_sent_ends_the_stream(seq: int) -> None:
    session = streaming(made=10, window=4)
    drain(session)
    with pytest.raises(StreamBroken, match="not sent"):
        session.on_ack(seq)
    assert session.acknowledged == 0


def test_a_server_that_lost_what_it_acknowledged_is_named() -> None:
    session = Session(7, 10, complete=False)
    session.opening()
    with pytest.raises(SessionRefused, match="lost batches 5 to 7"):
        session.on_accepted(5, 4, "a")


def test_a_server_that_has_more_than_exists_is_named() -> None:
    session = Session(0, 3, complete=False)
    session.opening()
    with pytest.raises(SessionRefused, match="only 3 exist"):
        session.on_accepted(5, 4, "a")


@pytest.mark.parametrize("reason", ["SESSION_FENCED", "SESSION_ENDED"])
def test_being_fenced_ends_the_stream(reason: str) -> None:
    with pytest.raises(StreamBroken) as caught:
        streaming().on_reject(0, reason, "", 0)
    assert caught.value.fenced


@pytest.mark.parametrize("reason", ["TOKEN_OF_ANOTHER", "DEVICE_NOT_FOUND", "SESSION_CLOSED", "X"])
def test_a_reason_that_repeating_cannot_mend_ends_the_session(reason: str) -> None:
    with pytest.raises(SessionRefused, match=reason):
        streaming().on_reject(0, reason, "", 1)


def test_a_closed_session_that_has_everything_is_over() -> None:
    session = Session(4, 4, complete=True)
    session.opening()
    session.on_reject(0, "SESSION_CLOSED", "", 5)
    assert session.phase is Phase.OVER


def test_a_session_that_was_closed_before_is_over_when_it_is_opened_again() -> None:
    """The close arrived, its answer and the last acknowledgements did not."""
    session = Session(2, 4, complete=True)
    session.opening()
    session.on_closed("users/u/activities/x")
    assert session.phase is Phase.OVER
    assert session.acknowledged == 4
    assert session.activity == "users/u/activities/x"


def test_a_close_nobody_asked_for_ends_the_stream() -> None:
    with pytest.raises(StreamBroken):
        streaming(made=3).on_closed("a")
    going_on = Session(0, 3, complete=False)
    going_on.opening()
    with pytest.raises(StreamBroken):
        going_on.on_closed("a")


def test_answers_before_the_acceptance_end_the_stream() -> None:
    session = Session(0, 3, complete=False)
    session.opening()
    with pytest.raises(StreamBroken):
        session.on_ack(1)
    session = streaming()
    with pytest.raises(StreamBroken):
        session.on_accepted(1, 4, "a")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_cut_loss_repeat_or_delay_loses_or_doubles_a_batch(  # noqa: C901, PLR0912, PLR0915 - a machine
    data: st.DataObject,
) -> None:
    """Messages are lost at cuts on either side; answers are dropped, repeated and reordered."""
    made = data.draw(st.integers(0, 25))
    session, server = Session(0, 0, complete=False), Server()
    answers: list[tuple[str, int]] = []
    events = st.sampled_from(["make", "send", "send", "answer", "answer", "drop", "twice", "cut"])
    calm = 0
    open_ = False
    for _ in range(3_000):
        event = data.draw(events) if calm == 0 and data.draw(st.integers(0, 60)) else "calm"
        calm = calm or int(event == "calm")
        if not open_:
            session.opening()
            answers, open_ = [], True
            if server.closed:
                # Closed in answer to an Open: the first answer to the close was lost.
                session.on_closed("a")
                break
            session.on_accepted(server.stored + 1, data.draw(st.integers(1, 5)), "a")
        if event == "cut":
            open_ = False
            continue
        if event in ("make", "calm") and session.made < made:
            session.on_made(session.made + 1, complete=False)
        if session.made == made:
            session.on_made(made, complete=True)
        if event in ("send", "calm"):
            what = session.next()
            session.on_sent(what)
            if isinstance(what, int):
                assert what - session.acknowledged <= session.window
                back = server.take(what)
                answers.append(("ack", server.stored) if back is None else ("back", back))
            elif what is Send.CLOSE and server.stored == made:
                server.closed = True
                answers.append(("closed", 0))
        if event == "drop" and answers and answers[0][0] == "ack":
            # Only an acknowledgement may be dropped: a later one says it too.
            answers.pop(0)
            answers.append(("ack", server.stored))
        if event == "twice" and answers:
            at = data.draw(st.integers(0, len(answers) - 1))
            if answers[at][0] == "ack":
                answers.insert(data.draw(st.integers(0, len(answers))), answers[at])
        if event in ("answer", "calm") and answers:
            kind, number = answers.pop(0)
            try:
                if kind == "ack":
                    session.on_ack(number)
                elif kind == "back":
                    session.on_reject(number, "BATCH_OUT_OF_ORDER", "", number)
                elif session.phase is not Phase.OVER:
                    session.on_closed("a")
            except StreamBroken:
                open_ = False
        assert session.acknowledged <= server.stored <= session.made
        if session.phase is Phase.OVER:
            break
    assert session.phase is Phase.OVER
    assert server.stored == session.acknowledged == made
