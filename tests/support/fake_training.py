"""A strict stand-in for training's TrackerService: the real contract, a ledger that survives.

The ledger fences, knows repeats and keeps order by training's own rules; a worker over it
may be slow, refuse, drain, or die between the commit and its answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message

from palestra.training.v1 import tracker_service_pb2 as pb
from palestra.training.v1 import tracker_service_pb2_grpc
from services.training.samples.rules.errors import SessionRefusal
from services.training.tracker.rules.sessions import (
    BatchAction,
    OpenAction,
    SessionRow,
    decide_batch,
    decide_close,
    decide_open,
)

Refuse = Callable[[pb.SessionFrame], pb.SessionReject | None]


@dataclass(slots=True)
class Ledger:
    """What is durable, whichever worker wrote it."""

    rows: dict[str, SessionRow] = field(default_factory=dict)
    batches: dict[str, list[bytes]] = field(default_factory=dict)
    """Of each session, as they were committed, serialised."""
    clocks: dict[str, tuple[int, int]] = field(default_factory=dict)
    opens: list[tuple[str, int]] = field(default_factory=list)
    repeats: int = 0
    """Batches that came though they were durable."""
    misordered: int = 0
    """Batches and closes that came before what they follow."""
    open_tells_where: bool = True
    """Whether the answer to an Open of a finished session says `opened` before `finished`."""

    def last_seq(self, session: str) -> int:
        """The last durable batch of a session."""
        row = self.rows.get(session)
        return row.last_seq if row else 0

    def apply(self, frame: pb.SessionFrame) -> list[pb.SessionResult]:
        """Commits one frame; the answers to it."""
        kind = frame.WhichOneof("frame")
        try:
            if kind == "open":
                return self._open(frame)
            if kind == "batch":
                return self._batch(frame)
            if kind == "close":
                return self._close(frame)
            self.clocks[frame.session] = (frame.clock.offset_ms, frame.clock.round_trip_ms)
            return []
        except SessionRefusal as refusal:
            self.misordered += refusal.reason == "BATCH_OUT_OF_ORDER"
            told = pb.SessionReject(
                seq=refusal.seq,
                reason=refusal.reason,
                detail=str(refusal),
                final=refusal.final,
                resume_from_seq=refusal.resume_from_seq,
            )
            return [result(frame, reject=told)]

    def _open(self, frame: pb.SessionFrame) -> list[pb.SessionResult]:
        self.opens.append((frame.session, frame.epoch))
        fingerprint = b"".join(each.SerializeToString() for each in frame.open.channels)
        row = self.rows.get(frame.session)
        decision = decide_open(row, frame.epoch, fingerprint)
        opened = pb.SessionOpened(
            resume_from_seq=decision.resume_from_seq, activity=activity_of(frame.session)
        )
        if decision.action is OpenAction.FINISHED:
            ended = result(frame, finished=pb.SessionFinished(activity=activity_of(frame.session)))
            return [result(frame, opened=opened), ended] if self.open_tells_where else [ended]
        last_seq = row.last_seq if row else 0
        self.rows[frame.session] = SessionRow(frame.epoch, last_seq, fingerprint)
        self.batches.setdefault(frame.session, [])
        return [result(frame, opened=opened)]

    def _batch(self, frame: pb.SessionFrame) -> list[pb.SessionResult]:
        row = self.rows.get(frame.session)
        action = decide_batch(row, frame.epoch, frame.batch.seq)
        assert row is not None
        if action is BatchAction.DUPLICATE:
            self.repeats += 1
        else:
            row = self.rows[frame.session] = row.after_batch()
            self.batches[frame.session].append(frame.batch.SerializeToString())
            assert len(self.batches[frame.session]) == frame.batch.seq == row.last_seq
        return [result(frame, acknowledged_seq=row.last_seq)]

    def _close(self, frame: pb.SessionFrame) -> list[pb.SessionResult]:
        row = self.rows.get(frame.session)
        decide_close(row, frame.epoch, frame.close.last_seq)
        assert row is not None
        self.rows[frame.session] = SessionRow(row.epoch, row.last_seq, row.fingerprint, closed=True)
        return [result(frame, finished=pb.SessionFinished(activity=activity_of(frame.session)))]


def activity_of(session: str) -> str:
    """The activity that a session becomes."""
    return session.replace("/sessions/", "/activities/")


def result(frame: pb.SessionFrame, **kind: Message | int) -> pb.SessionResult:
    """An answer to a frame."""
    return pb.SessionResult(session=frame.session, epoch=frame.epoch, **kind)  # type: ignore[arg-type]


class FakeTraining(tracker_service_pb2_grpc.TrackerServiceServicer):
    """One worker over a ledger, on a unix socket."""

    def __init__(self, address: str, ledger: Ledger, *, slow_s: float = 0.0) -> None:
        self.address = address
        self.ledger = ledger
        self.slow_s = slow_s
        """The longest that a commit takes, and its answer thereafter."""
        self.refuse: Refuse = lambda _: None
        self.streams = 0
        self.messages = 0
        self.most_frames = 0
        self.gate = asyncio.Event()
        """Nothing is committed while it is not set."""
        self.gate.set()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Serves, anew if need be."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        tracker_service_pb2_grpc.add_TrackerServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def die(self) -> None:
        """Stops at once, whatever is half done."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def IngestTelemetry(
        self, request_iterator: AsyncIterator[pb.IngestTelemetryRequest], context: object
    ) -> AsyncIterator[pb.IngestTelemetryResponse]:
        """Commits message by message."""
        self.streams += 1
        async for request in request_iterator:
            self.messages += 1
            self.most_frames = max(self.most_frames, len(request.frames))
            await self.gate.wait()
            await self._take_time()
            results = [each for frame in request.frames for each in self._apply(frame)]
            await self._take_time()
            if results:
                yield pb.IngestTelemetryResponse(results=results)

    def _apply(self, frame: pb.SessionFrame) -> list[pb.SessionResult]:
        told = self.refuse(frame)
        if told is not None:
            return [result(frame, reject=told)]
        return self.ledger.apply(frame)

    async def _take_time(self) -> None:
        if self.slow_s:
            await asyncio.sleep(random.uniform(0, self.slow_s))
