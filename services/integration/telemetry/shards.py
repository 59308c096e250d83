"""The long streams to training: a few of them carry the frames of all sessions.

Owns the shards; a session's is a stable hash of its name. Decides what travels in one
message (what has gathered while the last one was written; where sessions are many, for a
moment longer), and when a stream is opened anew: when it breaks, and now and then, so that
new workers of training get their share.
Frames that a broken stream left without an answer go out again; training knows repeats.
Never acknowledges anything: it carries training's answers.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from mesh.runtime import writing
from mesh.runtime.channel import MeshChannel
from palestra.training.v1 import telemetry_pb2
from palestra.training.v1 import tracker_service_pb2 as pb
from palestra.training.v1.tracker_service_pb2_grpc import TrackerServiceStub
from services.integration.telemetry.feed import Feed, Listener

if TYPE_CHECKING:
    from grpc.aio import StreamStreamCall

    Stream = StreamStreamCall[pb.IngestTelemetryRequest, pb.IngestTelemetryResponse]

MOST_FRAMES: Final = 512
MOST_BYTES: Final = 3 << 20
"""A message is closed once it holds so much; with the last session's it stays under 8 MiB."""
MANY: Final = 64
"""Sessions on a stream, from which on their frames are let gather between two messages."""
GATHER_S: Final = 0.04
"""A message and the commit that it becomes cost most of what a batch does; a device that
sends every few seconds does not notice the wait."""
FIRST_WAIT_S: Final = 0.05
LONGEST_WAIT_S: Final = 2.0
HANDOVER_S: Final = 5.0
"""For the last answers of a stream that is given up on purpose."""
_log = structlog.get_logger(__name__)


def to_training(mesh: MeshChannel) -> Callable[[], Stream]:
    """Opens a stream to whichever worker of training the mesh chooses."""
    stub = TrackerServiceStub(mesh.for_stubs())
    return lambda: stub.IngestTelemetry(None)


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """How the streams to training are run."""

    shards: int = 4
    age_s: float = 60.0
    """A stream is opened anew after so long, give or take a fifth."""
    held_bytes: int = 256 << 20
    """Of all sessions' batches that are not durable; beyond it no device is read on."""


class Shard:
    """One stream at a time, and the sessions on it."""

    def __init__(
        self, open_stream: Callable[[], Stream], age_s: float, holds: Callable[[int], None]
    ) -> None:
        self._open_stream = open_stream
        self._age_s = age_s
        self.holds = holds
        self._feeds: dict[tuple[str, int], Feed] = {}
        self._ready: deque[Feed] = deque()
        self._wake = asyncio.Event()
        self._turning = False
        self._failures = 0

    @property
    def sessions(self) -> int:
        """How many sessions are carried."""
        return len(self._feeds)

    def join(self, feed: Feed) -> None:
        """Carries a session's frames from now on."""
        self._feeds[feed.session, feed.epoch] = feed
        feed.restart()

    def leave(self, feed: Feed) -> None:
        """Carries them no more."""
        feed.leave()
        if self._feeds.get((feed.session, feed.epoch)) is feed:
            del self._feeds[feed.session, feed.epoch]

    def ready(self, feed: Feed) -> None:
        """The feed has something to send."""
        feed.queued = True
        self._ready.append(feed)
        self._wake.set()

    async def run(self) -> None:
        """Keeps a stream open while there is something to carry."""
        while True:
            while not self._ready:
                self._wake.clear()
                await self._wake.wait()
            try:
                await self._one_stream()
            except (grpc.RpcError, asyncio.InvalidStateError) as error:
                await self._wait_after(error)
            for feed in self._feeds.values():
                if feed.waits:
                    feed.restart()

    async def _wait_after(self, error: Exception) -> None:
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._failures) * random.uniform(0.5, 1)
        self._failures = min(self._failures + 1, 10)
        code = error.code() if isinstance(error, grpc.aio.AioRpcError) else None
        _log.warning("ingest_stream_broke", code=str(code), sessions=len(self._feeds))
        await asyncio.sleep(wait_s)

    async def _one_stream(self) -> None:
        """Carries frames until the stream breaks or is of age.

        Raises:
            grpc.RpcError: it broke.
        """
        stream = self._open_stream()
        self._turning = False
        for feed in self._feeds.values():
            feed.restart()
        tasks = {
            asyncio.create_task(self._read(stream)),
            asyncio.create_task(self._write(stream)),
        }
        try:
            age_s = self._age_s * random.uniform(0.8, 1.2)
            done, _ = await asyncio.wait(tasks, timeout=age_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                done, _ = await self._hand_over(tasks)
            for task in done:
                if task.cancelled():
                    # So a call ends whose other side was cancelled; nobody cancelled us.
                    raise grpc.RpcError("the stream was cancelled")
                task.result()
        finally:
            stream.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hand_over(
        self, tasks: set[asyncio.Task[None]]
    ) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
        """Sends nothing more and hears the last answers, so that hardly anything goes twice."""
        self._turning = True
        self._wake.set()
        return await asyncio.wait(tasks, timeout=HANDOVER_S)

    async def _write(self, stream: Stream) -> None:
        while not self._turning:
            request = self._next_message()
            if request is None:
                self._wake.clear()
                await self._wake.wait()
            else:
                await writing.write(stream, request.SerializeToString())
                if len(self._feeds) >= MANY and len(request.frames) < MOST_FRAMES:
                    await asyncio.sleep(GATHER_S)
        await stream.done_writing()

    def _next_message(self) -> pb.IngestTelemetryRequest | None:
        """What has gathered, each session in its turn."""
        request = pb.IngestTelemetryRequest()
        size = 0
        ready = self._ready
        while ready and len(request.frames) < MOST_FRAMES and size < MOST_BYTES:
            feed = ready.popleft()
            size += feed.fill(request, MOST_BYTES - size)
            feed.queued = feed.has_more
            if feed.queued:
                ready.append(feed)
        return request if request.frames else None

    async def _read(self, stream: Stream) -> None:
        while True:
            response = await stream.read()
            if not isinstance(response, pb.IngestTelemetryResponse):
                break
            self._failures = 0
            for result in response.results:
                feed = self._feeds.get((result.session, result.epoch))
                if feed is not None:
                    feed.take(result)
        if not self._turning:
            raise grpc.RpcError("training ended the stream")


class Shards:
    """All streams to training."""

    def __init__(self, open_stream: Callable[[], Stream], settings: ShardSettings) -> None:
        self._most_held_bytes = settings.held_bytes
        self.held_bytes = 0
        """Of all sessions' batches that are not durable."""
        self.room = asyncio.Event()
        """Set while more batches may be taken from devices."""
        self.room.set()
        self._shards = [
            Shard(open_stream, settings.age_s, self._holds) for _ in range(settings.shards)
        ]

    def join(
        self,
        session: str,
        epoch: int,
        description: telemetry_pb2.SessionDescription,
        listener: Listener,
    ) -> Feed:
        """A place for an opening of a session; its Open goes out at once."""
        shard = self._of(session)
        feed = Feed(session, epoch, description, listener, shard)
        shard.join(feed)
        return feed

    def leave(self, feed: Feed) -> None:
        """Gives up a place and all that it holds."""
        self._of(feed.session).leave(feed)

    async def run(self) -> None:
        """Runs the streams for the life of the process."""
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(shard.run())

    @property
    def sessions(self) -> int:
        """How many sessions are carried."""
        return sum(shard.sessions for shard in self._shards)

    def _of(self, session: str) -> Shard:
        return self._shards[zlib.crc32(session.encode()) % len(self._shards)]

    def _holds(self, bytes_more: int) -> None:
        self.held_bytes += bytes_more
        if self.held_bytes < self._most_held_bytes:
            self.room.set()
        else:
            self.room.clear()
