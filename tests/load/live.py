"""Scenarios of live sessions: taking samples in, and showing them to watchers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from palestra.training.v1 import activity_service_pb2 as pb
from palestra.training.v1.activity_service_pb2_grpc import ActivityServiceStub
from palestra_client import open_channel
from palestra_watch.batches import batch_of
from tests.load.closed_loop import Bounds
from tests.load.figures import Tally
from tests.load.requests import Load
from tests.load.session import LIMIT_S, LoadSession, Refused, load_session, recording
from tests.load.world import World

SESSIONS = 4
WATCHERS = 50
BEAT_S = 0.1
_SETTLED_S = 1.5
"""A watcher is known to all workers within this time."""


def ingest(batch_samples: int) -> Any:
    """Batches of so many samples from a few sessions, each as fast as it is acknowledged."""

    @asynccontextmanager
    async def ready(world: World) -> AsyncIterator[Load]:
        metadata = (await world.writer.sign_in()).metadata
        start_ms = time.time_ns() // 1_000_000
        made = recording(batch_samples, batch_samples, start_ms)
        async with AsyncExitStack() as opened:
            channels = [open_channel(world.stack.target) for _ in range(SESSIONS)]
            for channel in channels:
                opened.push_async_callback(channel.close, None)
            sessions = [
                await opened.enter_async_context(load_session(channel, metadata, made))
                for channel in channels
            ]
            for session in sessions:
                session.listen()

            async def load(bounds: Bounds) -> Tally:
                share = Bounds(bounds.seconds, bounds.most // SESSIONS)
                tally = Tally()
                for each in await asyncio.gather(
                    *(session.pour(batch_samples, share) for session in sessions)
                ):
                    tally.add(each)
                return tally

            yield load

    return ready


class _Audience:
    """Watchers of one activity, and when each update came."""

    def __init__(self, world: World, metadata: Any, activity: str) -> None:
        self._channel = open_channel(world.stack.target)
        self._stub = ActivityServiceStub(self._channel)
        self._metadata = metadata
        self._activity = activity
        self.sent_at: dict[int, float] = {}
        """By the time of the sample in ms."""
        self.tally = Tally()
        self.present = 0
        self.all_present = asyncio.Event()

    async def watch(self) -> None:
        request = pb.WatchActivityRequest(name=self._activity)
        first = True
        async for event in self._stub.WatchActivity(request, metadata=self._metadata):
            if first:
                first = False
                self.present += 1
                if self.present == WATCHERS:
                    self.all_present.set()
            if event.HasField("update"):
                sent = self.sent_at[event.update.time.ToMilliseconds()]
                self.tally.units += 1
                self.tally.latencies_ms.append((time.perf_counter() - sent) * 1000)

    async def close(self) -> None:
        await self._channel.close(None)


@asynccontextmanager
async def watch(world: World) -> AsyncIterator[Load]:
    """One session, a sample every `BEAT_S`, and `WATCHERS` watchers of it; counts updates."""
    metadata = (await world.writer.sign_in()).metadata
    made = recording(1, 1, time.time_ns() // 1_000_000)
    channel = open_channel(world.stack.target)
    try:
        async with load_session(channel, metadata, made) as session:
            audience = _Audience(world, metadata, session.activity)
            tasks = [asyncio.create_task(audience.watch()) for _ in range(WATCHERS)]
            session.listen()
            try:
                await _seated(audience, tasks)
                yield _beating(session, audience, made)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await audience.close()
    finally:
        await channel.close(None)


async def _seated(audience: _Audience, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Waits until all watch; a watcher that was refused says why."""
    present = asyncio.create_task(audience.all_present.wait())
    await asyncio.wait([present, *tasks], timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
    if not present.done():
        present.cancel()
        raise Refused(f"{audience.present} of {WATCHERS} watch after {LIMIT_S:.0f} s")
    await asyncio.sleep(_SETTLED_S)


def _beating(session: LoadSession, audience: _Audience, made: Any) -> Load:
    batch = batch_of(made, 1, 0, 1)

    async def load(bounds: Bounds) -> Tally:
        audience.tally = Tally()
        begun = time.perf_counter()
        beats = min(round(bounds.seconds / BEAT_S), bounds.most // WATCHERS)
        for beat in range(beats):
            await asyncio.sleep(max(0.0, begun + beat * BEAT_S - time.perf_counter()))
            audience.sent_at[session.next_time_ms(batch)] = time.perf_counter()
            await session.send(batch)
        until = time.perf_counter() + _SETTLED_S
        while audience.tally.units < beats * WATCHERS and time.perf_counter() < until:
            await asyncio.sleep(BEAT_S / 10)
        # An update that a newer one overtook is no failure: a watcher sees the newest.
        return audience.tally

    return load
