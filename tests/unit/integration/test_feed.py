"""A session's way to training, over a wire that breaks wherever it can."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from palestra.training.v1 import telemetry_pb2
from palestra.training.v1 import tracker_service_pb2 as pb
from services.integration.telemetry.feed import OPENINGS_WITHOUT_PROGRESS, Feed
from tests.support.fake_device import DESCRIPTION, batch
from tests.support.fake_training import Ledger

SESSION = "users/u/sessions/s"
WINDOW = 4
STEPS = ["add", "send", "commit", "answer", "break", "damage", "close"]


class Bench:
    """A feed between a device and a ledger, all in one thread."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.wire: deque[pb.SessionFrame] = deque()
        self.answers: deque[pb.SessionResult] = deque()
        self.bytes = 0
        self.is_ready = False
        self.accepted = False
        self.taken = self.durable = 0
        self.refusals: list[pb.SessionReject] = []
        self.closed = self.finished_as = ""
        self.lost_because = ""
        self.feed = Feed(SESSION, 1, DESCRIPTION, self, self)
        self.feed.restart()

    # what the feed tells

    def ready(self, feed: Feed) -> None:
        self.is_ready = True

    def holds(self, bytes_more: int) -> None:
        self.bytes += bytes_more

    def opened(self, resume_from_seq: int, activity: str) -> None:
        assert not self.accepted, "accepted twice"
        self.accepted = True
        self.taken = self.durable = resume_from_seq - 1

    def acknowledged(self, seq: int) -> None:
        assert self.durable < seq <= self.ledger.last_seq(SESSION), "ahead of the ledger"
        self.durable = seq

    def refused(self, told: pb.SessionReject) -> None:
        self.refusals.append(told)
        self.taken = max(self.durable, told.seq - 1)

    def finished(self, activity: str) -> None:
        self.finished_as = activity

    def lost(self, detail: str) -> None:
        self.lost_because = detail

    # what happens

    def add(self) -> None:
        if self.accepted and not self.closed and self.taken - self.durable < WINDOW:
            self.taken += 1
            content = batch(self.taken)
            self.feed.add(self.taken, content, content.ByteSize())

    def send(self) -> None:
        request = pb.IngestTelemetryRequest()
        self.feed.fill(request, 1 << 20)
        self.wire.extend(request.frames)

    def commit(self) -> None:
        if self.wire:
            self.answers.extend(self.ledger.apply(self.wire.popleft()))

    def answer(self) -> None:
        if self.answers:
            self.feed.take(self.answers.popleft())

    def breaks(self) -> None:
        self.wire.clear()
        self.answers.clear()
        self.feed.restart()

    def damage(self) -> None:
        """Training finds something wrong in the next batch."""
        if self.wire and self.wire[0].batch.seq > self.ledger.last_seq(SESSION):
            frame = self.wire.popleft()
            if frame.batch.seq == self.ledger.last_seq(SESSION) + 1:
                told = pb.SessionReject(
                    seq=frame.batch.seq, reason="BATCH_MALFORMED", resume_from_seq=frame.batch.seq
                )
                self.answers.append(pb.SessionResult(session=SESSION, epoch=1, reject=told))

    def close(self) -> None:
        if self.accepted and not self.closed:
            self.closed = "asked"
            self.feed.close(self.taken, telemetry_pb2.DeviceSummary())

    def do(self, step: str) -> None:
        {
            "add": self.add,
            "send": self.send,
            "commit": self.commit,
            "answer": self.answer,
            "break": self.breaks,
            "damage": self.damage,
            "close": self.close,
        }[step]()

    def settle(self) -> None:
        """Lets everything that is under way arrive."""
        for _ in range(200):
            self.send()
            while self.wire:
                self.commit()
            while self.answers:
                self.answer()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=60))
def test_whatever_breaks_each_batch_is_stored_once_and_told_when_it_is(steps: list[str]) -> None:
    bench = Bench()
    for step in steps:
        bench.do(step)
    bench.settle()
    assert not bench.lost_because
    stored = bench.ledger.batches.get(SESSION, [])
    assert stored == [batch(seq).SerializeToString() for seq in range(1, len(stored) + 1)]
    assert bench.durable == bench.taken == len(stored)
    assert bench.bytes == 0
    # A refused batch takes the close after it along: the device asks again.
    assert bench.finished_as or bench.refusals or not bench.closed


def opened_bench() -> Bench:
    bench = Bench()
    bench.settle()
    assert bench.accepted
    return bench


def test_nothing_goes_out_before_training_answered_the_open() -> None:
    bench = Bench()
    request = pb.IngestTelemetryRequest()
    bench.feed.fill(request, 1 << 20)
    assert [frame.WhichOneof("frame") for frame in request.frames] == ["open"]
    assert not bench.feed.has_more


def test_late_answers_of_a_broken_stream_count_for_nothing() -> None:
    bench = opened_bench()
    bench.add()
    bench.feed.restart()
    bench.feed.take(pb.SessionResult(session=SESSION, epoch=1, acknowledged_seq=1))
    assert bench.durable == 0


def test_an_acknowledgement_of_what_was_never_sent_is_not_passed_on() -> None:
    bench = opened_bench()
    bench.add()
    bench.send()
    bench.commit()
    bench.add()
    bench.feed.take(pb.SessionResult(session=SESSION, epoch=1, acknowledged_seq=1 << 62))
    assert bench.durable == 1


def test_training_that_lost_what_was_durable_ends_the_stream() -> None:
    bench = opened_bench()
    bench.add()
    bench.settle()
    bench.feed.restart()
    bench.feed.take(
        pb.SessionResult(session=SESSION, epoch=1, opened=pb.SessionOpened(resume_from_seq=1))
    )
    assert "0 of 1" in bench.lost_because


def test_training_that_never_takes_a_batch_is_given_up() -> None:
    bench = opened_bench()
    bench.add()
    told = pb.SessionReject(seq=1, reason="BATCH_OUT_OF_ORDER", resume_from_seq=1)
    for _ in range(50):
        bench.send()
        while bench.wire:
            frame = bench.wire.popleft()
            if frame.HasField("batch"):
                bench.feed.take(pb.SessionResult(session=SESSION, epoch=1, reject=told))
            else:
                bench.feed.take(bench.ledger.apply(frame)[0])
        if bench.lost_because:
            break
    assert "does not take the session" in bench.lost_because
    assert len(bench.ledger.opens) == 1 + OPENINGS_WITHOUT_PROGRESS


def test_who_left_holds_nothing_and_hears_nothing() -> None:
    bench = opened_bench()
    bench.add()
    bench.feed.leave()
    assert bench.bytes == 0
    assert not bench.feed.has_more
    bench.feed.take(pb.SessionResult(session=SESSION, epoch=1, acknowledged_seq=1))
    assert bench.durable == 0
