"""Watching a live activity: what is new, as it comes, until it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from palestra.training.v1 import activity_service_pb2 as pb
from services.training.activities.rules.errors import ActivityNotFound
from services.training.activities.store import ActivityStore
from services.training.keys import SessionKey
from services.training.live import LiveBus, deleted_event, finished_event, resumable_event

HEARTBEAT_S: Final = 10.0
LOOK_AGAIN_S: Final = 5.0
"""How often the store is asked whether it ended: an event may have been missed."""


@dataclass(frozen=True, slots=True)
class WatchFlow:
    """Serves watchers, on whichever worker they are."""

    store: ActivityStore
    live: LiveBus
    stopping: asyncio.Event

    async def watch(self, activity: SessionKey) -> AsyncIterator[bytes]:
        """WatchActivityResponse messages, serialised; the last one says how it ended.

        Raises:
            ActivityNotFound
        """
        if await self._end(activity, first=True) is None:
            async with self.live.watch(activity.activity) as updates:
                async for event in self._events(activity, updates):
                    yield event
                    if _ends(event):
                        return
        yield await self._end(activity, first=False) or resumable_event()

    async def _events(
        self, activity: SessionKey, updates: AsyncIterator[bytes | None]
    ) -> AsyncIterator[bytes]:
        spoke_at = time.monotonic()
        # At once, for it may have ended before the updates began to come.
        looked_at = spoke_at - LOOK_AGAIN_S
        yield _heartbeat()
        async for update in updates:
            now = time.monotonic()
            if self.stopping.is_set():
                return
            if update is not None:
                spoke_at = now
                yield update
            elif now - spoke_at > HEARTBEAT_S:
                spoke_at = now
                yield _heartbeat()
            if now - looked_at >= LOOK_AGAIN_S:
                looked_at = now
                end = await self._end(activity, first=False)
                if end is not None:
                    yield end
                    return

    async def _end(self, activity: SessionKey, *, first: bool) -> bytes | None:
        """How the activity ended; None while it is live."""
        stored = await self.store.activity(activity)
        if stored is None or (stored.deleted and first):
            raise ActivityNotFound("there is no such activity")
        if stored.deleted:
            return deleted_event()
        return None if stored.totals is None else finished_event()


def _ends(event: bytes) -> bool:
    return pb.WatchActivityResponse.FromString(event).WhichOneof("event") == "ended"


def _heartbeat() -> bytes:
    response = pb.WatchActivityResponse()
    response.heartbeat.time.GetCurrentTime()
    return response.SerializeToString()
