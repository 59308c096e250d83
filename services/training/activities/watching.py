"""Watching a live activity: what is new, as it comes, until it ends."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mesh.runtime.errors import Unavailable
from palestra.training.v1 import activity_service_pb2 as pb
from services.training.activities.rules.errors import ActivityNotFound
from services.training.activities.store import ActivityStore
from services.training.keys import SessionKey
from services.training.live import LiveBus, deleted_event, finished_event, resumable_event

HEARTBEAT_S: Final = 10.0
LOOK_AGAIN_S: Final = 5.0
"""How often the store is asked whether it ended: an event may have been missed. One watcher
asks for all of this process who watch the same."""
MOST_LOOKS: Final = 20_000


class _Look(NamedTuple):
    at: float
    end: bytes | None


@dataclass(frozen=True, slots=True)
class WatchFlow:
    """Serves watchers, on whichever worker they are."""

    store: ActivityStore
    live: LiveBus
    stopping: asyncio.Event
    _looks: dict[SessionKey, _Look] = field(default_factory=dict)
    """The last one at each activity, the oldest first."""

    async def watch(self, activity: SessionKey) -> AsyncGenerator[bytes, None]:
        """WatchActivityResponse messages, serialised; the last one says how it ended.

        Raises:
            ActivityNotFound
        """
        end = await self._end(activity, first=True)
        if end is None:
            # From here on the last event says how it ended, whatever happens: over REST an
            # error in the middle could not be told from an end.
            with suppress(Unavailable):
                async with (
                    self.live.watch(activity.activity) as updates,
                    aclosing(self._events(activity, updates)) as events,
                ):
                    async for event in events:
                        yield event
                        if _ends(event):
                            return
            with suppress(Unavailable):
                end = await self._end(activity, first=False)
        yield end or resumable_event()

    async def _events(
        self, activity: SessionKey, updates: AsyncIterator[bytes | None]
    ) -> AsyncGenerator[bytes, None]:
        # The first word, and a look, when it is subscribed: from then on nothing is missed.
        spoke_at, looked = -math.inf, False
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
            end = await self._look(activity, now, fresh=not looked)
            looked = True
            if end is not None:
                yield end
                return

    async def _look(self, activity: SessionKey, now: float, *, fresh: bool) -> bytes | None:
        """How it ended, as far as this process has seen lately, or, `fresh`, as it is now."""
        known = self._looks.get(activity)
        if not fresh and known is not None and now - known.at <= LOOK_AGAIN_S:
            return known.end
        # Noted before: who comes while it looks must not look as well.
        self._note(activity, _Look(now, known.end if known else None))
        end = await self._end(activity, first=False)
        self._note(activity, _Look(now, end))
        return end

    def _note(self, activity: SessionKey, look: _Look) -> None:
        self._looks.pop(activity, None)
        self._looks[activity] = look
        if len(self._looks) > MOST_LOOKS:
            del self._looks[next(iter(self._looks))]

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
