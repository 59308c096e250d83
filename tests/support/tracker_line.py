"""A stream to training, as integration has one: many sessions, results as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc

from palestra.training.v1 import telemetry_pb2
from palestra.training.v1 import tracker_service_pb2 as pb
from palestra.training.v1.tracker_service_pb2_grpc import TrackerServiceStub
from tests.support.recorded_sessions import Recorded
from tests.support.training_worker import AS_INTEGRATION

if TYPE_CHECKING:
    from grpc.aio import StreamStreamCall

    Stream = StreamStreamCall[pb.IngestTelemetryRequest, pb.IngestTelemetryResponse]

PATIENCE_S = 15.0


class Line:
    """One stream, and all that was answered on it."""

    def __init__(self, stream: Stream, on_result: Callable[[pb.SessionResult], None]) -> None:
        self.stream = stream
        self.results: list[pb.SessionResult] = []
        self._on_result = on_result
        self._news = asyncio.Condition()
        self._writing = asyncio.Lock()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for response in self.stream:
                for result in response.results:
                    self._on_result(result)
                    self.results.append(result)
                async with self._news:
                    self._news.notify_all()
        finally:
            async with self._news:
                self._news.notify_all()

    def of(self, session: Recorded | str) -> list[pb.SessionResult]:
        """What was answered about one session."""
        name = session if isinstance(session, str) else session.name
        return [result for result in self.results if result.session == name]

    async def until(self, holds: Callable[[], object], limit_s: float = PATIENCE_S) -> None:
        """Waits for results until something holds; fails where the stream ends before."""
        async with asyncio.timeout(limit_s), self._news:
            while not holds():
                assert not self.reading.done(), f"the stream ended: {self.reading}"
                await self._news.wait()

    async def send(self, *frames: pb.SessionFrame) -> None:
        """Sends frames in one message."""
        # gRPC takes one write at a time; a second one at once would break the stream.
        async with self._writing:
            await self.stream.write(pb.IngestTelemetryRequest(frames=frames))

    async def acknowledged(self, session: Recorded, seq: int) -> None:
        """Waits until batch `seq` of a session is acknowledged."""
        await self.until(lambda: self.last_ack(session) >= seq)

    async def answered(self, session: Recorded, count: int) -> None:
        """Waits until there are so many answers about a session."""
        await self.until(lambda: len(self.of(session)) >= count)

    def last_ack(self, session: Recorded) -> int:
        """The highest acknowledgement of a session."""
        return max((each.acknowledged_seq for each in self.of(session)), default=0)

    async def opened(self, session: Recorded, epoch: int = 1) -> int:
        """Opens a session; the first batch that is wanted."""
        before = len(self.of(session))
        await self.send(opening(session, epoch))
        await self.until(lambda: len(self.of(session)) > before)
        answer = self.of(session)[before]
        assert answer.HasField("opened"), answer
        assert answer.opened.activity == session.activity
        return answer.opened.resume_from_seq

    async def finished(self, session: Recorded, epoch: int = 1) -> pb.SessionFinished:
        """Closes a session after its last batch; how it ended."""
        await self.send(closing(session, epoch))
        await self.until(lambda: any(each.HasField("finished") for each in self.of(session)))
        return next(each.finished for each in self.of(session) if each.HasField("finished"))

    def rejects(self, session: Recorded | str) -> list[pb.SessionReject]:
        """What was refused of a session."""
        return [each.reject for each in self.of(session) if each.HasField("reject")]


@asynccontextmanager
async def line(
    channel: grpc.aio.Channel, on_result: Callable[[pb.SessionResult], None] = lambda _: None
) -> AsyncIterator[Line]:
    """Opens a stream; cut at the end of the block."""
    stream = TrackerServiceStub(channel).IngestTelemetry(None, metadata=AS_INTEGRATION)
    made = Line(stream, on_result)
    try:
        yield made
    finally:
        stream.cancel()
        await asyncio.gather(made.reading, return_exceptions=True)


def opening(session: Recorded, epoch: int = 1) -> pb.SessionFrame:
    """A session's Open."""
    return pb.SessionFrame(session=session.name, epoch=epoch, open=session.description)


def batch(session: Recorded, packed: telemetry_pb2.Batch, epoch: int = 1) -> pb.SessionFrame:
    """One of its batches."""
    return pb.SessionFrame(session=session.name, epoch=epoch, batch=packed)


def batches(session: Recorded, first: int = 1, epoch: int = 1) -> list[pb.SessionFrame]:
    """Its batches from `first` on."""
    return [batch(session, each, epoch) for each in session.batches[first - 1 :]]


def closing(
    session: Recorded, epoch: int = 1, summary: telemetry_pb2.DeviceSummary | None = None
) -> pb.SessionFrame:
    """Its Close, after the last batch that was recorded."""
    close = pb.SessionClose(last_seq=len(session.batches), summary=summary)
    return pb.SessionFrame(session=session.name, epoch=epoch, close=close)


def clock(session: Recorded, offset_ms: int, round_trip_ms: int, epoch: int = 1) -> pb.SessionFrame:
    """A measurement of its device's clock."""
    measured = pb.ClockOffset(offset_ms=offset_ms, round_trip_ms=round_trip_ms)
    return pb.SessionFrame(session=session.name, epoch=epoch, clock=measured)
