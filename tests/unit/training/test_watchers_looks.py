"""Many who watch the same activity ask the store as one, and all hear of its end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from palestra.training.v1 import activity_service_pb2 as pb
from services.training.activities import watching
from services.training.activities.watching import WatchFlow
from services.training.keys import SessionKey
from services.training.live import finished_event

if TYPE_CHECKING:
    from services.training.activities.store import ActivityStore
    from services.training.live import LiveBus

WATCHERS = 50
ACTIVITY = SessionKey(uuid.UUID(int=1), uuid.UUID(int=2))
UPDATE = pb.WatchActivityResponse(update=pb.LiveUpdate(elapsed_s=1)).SerializeToString()


class _Store:
    """One activity, live until `totals` are there; counts who asks."""

    def __init__(self) -> None:
        self.asked = 0
        self.totals: bytes | None = None

    async def activity(self, _: SessionKey) -> SimpleNamespace:
        self.asked += 1
        # As a database does, it lets others go on meanwhile.
        await asyncio.sleep(0)
        return SimpleNamespace(deleted=False, totals=self.totals)


class _Live:
    """Beats for all watchers at once."""

    def __init__(self) -> None:
        self.queues: list[asyncio.Queue[bytes | None]] = []

    @asynccontextmanager
    async def watch(self, _: str) -> AsyncIterator[AsyncIterator[bytes | None]]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        queue.put_nowait(None)
        self.queues.append(queue)

        async def updates() -> AsyncIterator[bytes | None]:
            while True:
                yield await queue.get()

        yield updates()

    def beat(self, update: bytes | None) -> None:
        for queue in self.queues:
            queue.put_nowait(update)


class _Room:
    """Everybody who watches, and what each has heard."""

    def __init__(self) -> None:
        self.store, self.live = _Store(), _Live()
        flow = WatchFlow(
            cast("ActivityStore", self.store), cast("LiveBus", self.live), asyncio.Event()
        )
        self.heard: list[list[bytes]] = [[] for _ in range(WATCHERS)]
        self.tasks = [asyncio.create_task(self._watch(flow, each)) for each in self.heard]

    async def _watch(self, flow: WatchFlow, heard: list[bytes]) -> None:
        async for event in flow.watch(ACTIVITY):
            heard.append(event)  # noqa: PERF401 - each as it comes

    async def settled(self) -> None:
        """Until nobody has anything left to do but to wait."""
        for _ in range(20):
            await asyncio.sleep(0)


async def test_each_looks_when_it_comes_and_then_one_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: now))
    room = _Room()
    await room.settled()
    # Once before it is subscribed, once after: what ends between the two is not missed.
    assert room.store.asked == 2 * WATCHERS
    for _ in range(5):
        room.live.beat(UPDATE)
        await room.settled()
    assert room.store.asked == 2 * WATCHERS
    now += watching.LOOK_AGAIN_S + 0.1
    room.live.beat(UPDATE)
    await room.settled()
    assert room.store.asked == 2 * WATCHERS + 1
    assert all(each.count(UPDATE) == 6 for each in room.heard)
    # Its end was published to nobody: one finds it, all hear it by their next beat.
    room.store.totals = b"totals"
    now += watching.LOOK_AGAIN_S + 0.1
    for _ in range(2):
        room.live.beat(None)
        await room.settled()
    await asyncio.gather(*room.tasks)
    assert room.store.asked == 2 * WATCHERS + 2
    assert all(each[-1] == finished_event() for each in room.heard)
