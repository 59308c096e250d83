"""One live session, a sample every so often, and many who watch it, over gRPC and over REST."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import grpc

from palestra.training.v1 import activity_service_pb2 as pb
from palestra.training.v1.activity_service_pb2_grpc import ActivityServiceStub
from palestra_client import open_channel
from palestra_watch.batches import batch_of
from tests.load.closed_loop import Bounds
from tests.load.figures import Tally
from tests.load.http1 import LARGEST_HEAD, request
from tests.load.lines import OWN_CONNECTION
from tests.load.requests import Load
from tests.load.session import LIMIT_S, LoadSession, Refused, load_session, recording
from tests.load.world import Tokens, World

_SETTLED_S = 1.5
"""A watcher is known to all workers within this time."""
_CHANNELS = 10
_CONNECTING = 100


class Audience:
    """Watchers of one activity, and when each update came."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent_at: dict[int, float] = {}
        """By the time of the sample in ms."""
        self.tally = Tally()
        self.present = 0
        self.all_present = asyncio.Event()

    def comes(self) -> None:
        """One more heard its first word."""
        self.present += 1
        if self.present == self.size:
            self.all_present.set()

    def hears(self, time_ms: int) -> None:
        """An update came to one of them."""
        self.tally.units += 1
        self.tally.latencies_ms.append((time.perf_counter() - self.sent_at[time_ms]) * 1000)


Watch = Callable[[World, Tokens, str, Audience], Coroutine[Any, Any, None]]


async def by_grpc(world: World, tokens: Tokens, activity: str, audience: Audience) -> None:
    """All watchers on a few connections, as proxies of other teams have it."""
    channels = [
        grpc.aio.insecure_channel(world.stack.target, options=OWN_CONNECTION)
        for _ in range(min(_CHANNELS, audience.size))
    ]

    async def watch(place: int) -> None:
        stub = ActivityServiceStub(channels[place % len(channels)])
        asked = pb.WatchActivityRequest(name=activity)
        first = True
        async for event in stub.WatchActivity(asked, metadata=tokens.metadata):
            if first:
                first = False
                audience.comes()
            if event.HasField("update"):
                audience.hears(event.update.time.ToMilliseconds())

    try:
        await asyncio.gather(*(watch(place) for place in range(audience.size)))
    finally:
        for channel in channels:
            await channel.close(None)


async def by_rest(world: World, tokens: Tokens, activity: str, audience: Audience) -> None:
    """A connection for each watcher, a line of JSON for each event."""
    connecting = asyncio.Semaphore(_CONNECTING)
    packed = request("GET", f"/v1/{activity}:watch", host=world.stack.target, token=tokens.access)

    async def watch() -> None:
        async with connecting:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", world.stack.port, limit=LARGEST_HEAD
            )
        try:
            writer.write(packed)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise Refused(head.decode(errors="replace"))
            first = True
            # Of a chunk only the line with content is an event; its size and end are not.
            while line := await reader.readline():
                if not line.startswith(b"{"):
                    continue
                if first:
                    first = False
                    audience.comes()
                if b'"update"' in line:
                    audience.hears(_time_ms(line))
        finally:
            writer.close()

    await asyncio.gather(*(watch() for _ in range(audience.size)))


def _time_ms(line: bytes) -> int:
    told = json.loads(line)["update"]["time"]
    return round(datetime.fromisoformat(told).timestamp() * 1000)


def fan_out(size: int, every_s: float, watch: Watch) -> Any:
    """`size` watchers of one session, an update every `every_s`; counts updates."""

    @asynccontextmanager
    async def ready(world: World) -> AsyncIterator[Load]:
        tokens = await world.writer.sign_in()
        made = recording(1, 1, time.time_ns() // 1_000_000)
        channel = open_channel(world.stack.target)
        try:
            async with load_session(channel, tokens.metadata, made) as session:
                audience = Audience(size)
                watching = asyncio.create_task(watch(world, tokens, session.activity, audience))
                session.listen()
                try:
                    await seated(audience, [watching])
                    yield beating(session, audience, made, every_s)
                finally:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)
        finally:
            await channel.close(None)

    return ready


async def seated(audience: Audience, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Waits until all watch; a watcher that was refused says why."""
    present = asyncio.create_task(audience.all_present.wait())
    await asyncio.wait([present, *tasks], timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
    if not present.done():
        present.cancel()
        raise Refused(f"{audience.present} of {audience.size} watch after {LIMIT_S:.0f} s")
    await asyncio.sleep(_SETTLED_S)


def beating(session: LoadSession, audience: Audience, made: Any, every_s: float) -> Load:
    """A sample every so often; counts what the audience hears of it."""
    batch = batch_of(made, 1, 0, 1)

    async def load(bounds: Bounds) -> Tally:
        audience.tally = Tally()
        begun = time.perf_counter()
        beats = max(1, min(round(bounds.seconds / every_s), bounds.most // audience.size))
        for beat in range(beats):
            await asyncio.sleep(max(0.0, begun + beat * every_s - time.perf_counter()))
            audience.sent_at[session.next_time_ms(batch)] = time.perf_counter()
            await session.send(batch)
        until = time.perf_counter() + _SETTLED_S
        while audience.tally.units < beats * audience.size and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        # An update that a newer one overtook is no failure: a watcher sees the newest.
        return audience.tally

    return load
