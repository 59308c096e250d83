"""Thousands of live sessions at once, each with a batch every few seconds, as watches send them.

Owns the crowd and its beat, and what a session takes of memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc

from mesh.local import procfs
from palestra.training.v1 import telemetry_pb2
from palestra_watch.batches import batch_of
from tests.load.closed_loop import Bounds
from tests.load.figures import Tally
from tests.load.lines import Line, Lost
from tests.load.requests import Load
from tests.load.session import recording
from tests.load.targets import SECONDS_BETWEEN_BATCHES
from tests.load.world import World

SAMPLES = 5
"""Of a batch: as many seconds as lie between two."""
LATE_S = 5.0
_TURN_S = SECONDS_BETWEEN_BATCHES + 1
_AT_ONCE = 64
_TICK_S = 0.01
_COUNTED = ("edge", "node", "integration", "training")
Lines = Callable[[World, int, Lost], AbstractAsyncContextManager[list[Line]]]


class Crowd:
    """The sessions, and what was heard of them."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.tally = Tally()
        self.lost: list[str] = []
        self._sent: list[dict[int, float]] = [{} for _ in lines]

    async def open(self, place: int, description: telemetry_pb2.SessionDescription) -> None:
        """Opens one session."""
        await self.lines[place].open(description, lambda seq: self._heard(place, seq))

    async def beat(self, batch: telemetry_pb2.Batch) -> None:
        """Sends batches until cancelled, every session in its turn."""
        # One timer for all: one for each would cost the load more than it costs who is measured.
        count, begun, sent = len(self.lines), time.perf_counter(), 0
        while True:
            await asyncio.sleep(_TICK_S)
            due = int((time.perf_counter() - begun) * count / SECONDS_BETWEEN_BATCHES)
            sends = [self._send(number, batch) for number in range(sent, due)]
            if self.lines[0].waits:
                await asyncio.gather(*sends)
            else:
                for each in sends:
                    await each
            sent = due

    async def _send(self, number: int, batch: telemetry_pb2.Batch) -> None:
        turn, place = divmod(number, len(self.lines))
        self._sent[place][turn + 1] = time.perf_counter()
        # One message serves all: nobody else touches it before it is serialised.
        batch.seq = turn + 1
        batch.first_time_ms += 1
        try:
            await self.lines[place].send(batch)
        except (grpc.RpcError, asyncio.InvalidStateError) as error:
            self.lost.append(str(error))

    def _heard(self, place: int, seq: int) -> None:
        now, sent = time.perf_counter(), self._sent[place]
        for each in [each for each in sent if each <= seq]:
            self.tally.units += 1
            self.tally.latencies_ms.append((now - sent.pop(each)) * 1000)

    def failed(self) -> int:
        """Sessions that were lost, or wait for an acknowledgement for too long."""
        now = time.perf_counter()
        late = sum(any(now - at > LATE_S for at in sent.values()) for sent in self._sent)
        return len(self.lost) + late


def crowd(count: int, lines_of: Lines) -> Any:
    """So many live sessions."""

    @asynccontextmanager
    async def ready(world: World) -> AsyncIterator[Load]:
        made = recording(SAMPLES, SAMPLES, time.time_ns() // 1_000_000)
        before = resident_kib(world)
        lost: list[str] = []
        async with lines_of(world, count, lost.append) as lines:
            found = Crowd(lines)
            found.lost = lost
            await open_all(found, made.description())
            batch = batch_of(made, 1, 0, SAMPLES)
            try:
                beating = asyncio.create_task(found.beat(batch))
                # A whole turn first: what a session needs only once is not measured.
                await asyncio.sleep(_TURN_S)
                yield _load(found, _per_session(before, resident_kib(world), count))
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)

    return ready


async def open_all(found: Crowd, description: telemetry_pb2.SessionDescription) -> None:
    """Opens every session of a crowd."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def open_one(place: int) -> None:
        async with at_once:
            await found.open(place, description)

    await asyncio.gather(*(open_one(place) for place in range(len(found.lines))))


def _load(found: Crowd, notes: Mapping[str, float]) -> Load:
    async def load(bounds: Bounds) -> Tally:
        found.tally = Tally(notes=dict(notes))
        # Every session has its turn, whatever was asked for.
        await asyncio.sleep(bounds.seconds if bounds.seconds < 1 else max(bounds.seconds, _TURN_S))
        found.tally.failed = found.failed()
        return found.tally

    return load


def resident_kib(world: World) -> dict[str, float]:
    """Memory of the processes that carry sessions, by what they are."""
    found: dict[str, float] = {}
    for row in world.stack.status()["processes"]:
        group = row["service"] or row["name"]
        if group in _COUNTED and (resident := procfs.rss_bytes(row["pid"])) is not None:
            found[group] = found.get(group, 0.0) + resident / 1024
    return found


def _per_session(
    before: Mapping[str, float], after: Mapping[str, float], count: int
) -> dict[str, float]:
    grown = {
        f"{group} KiB/session": max(0.0, after[group] - before[group]) / count for group in before
    }
    return {"sessions": float(count)} | grown
