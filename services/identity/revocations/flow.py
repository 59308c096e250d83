"""The board: what this process of identity knows to be revoked, and tells whoever listens.

Each process reads the table itself, woken by the database, with a poll behind it; so it does
not matter which of them made a change, or whom a service listens to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mesh.runtime.clock import Clock
from mesh.runtime.errors import Unavailable
from mesh.runtime.revocations import Revocation, Revocations
from services.identity.revocations.store import RevocationStore

POLL_S: Final = 1.0
HEARTBEAT_S: Final = 1.0
STALE_S: Final = 3.0
"""A board that could not read for so long says nothing more."""
REREAD_S: Final = 60.0
OVERLAP: Final = timedelta(seconds=60)
"""Longer than any change takes to commit: what commits late is met by a later look."""
MOST_IN_ONE: Final = 1000
MOST_WAITING: Final = 256
"""Messages that a listener may be behind; whoever falls further begins anew."""
MOST_FORGOTTEN: Final = 100


@dataclass(frozen=True, slots=True)
class News:
    """A message to a listener."""

    revocations: list[Revocation]
    complete: bool
    revoked_before_s: float
    """Tokens from before are not believed at all, in s since 1970."""


class Board:
    """Knows, tells and forgets."""

    def __init__(
        self,
        store: RevocationStore,
        own: Revocations,
        clock: Clock,
        stopping: asyncio.Event,
    ) -> None:
        """`own` is what this process checks tokens against itself."""
        self._store = store
        self._own = own
        self._clock = clock
        self._stopping = stopping
        self._listeners: set[asyncio.Queue[list[Revocation]]] = set()
        self._read_s = -STALE_S
        own.listeners.append(self._tell)

    async def keep(self) -> None:
        """Reads what is new until cancelled."""
        async with self._store.notices() as connection:
            everything_s = -REREAD_S
            while True:
                now, at_s = self._clock(), time.monotonic()
                if at_s - everything_s >= REREAD_S:
                    everything_s = at_s
                    self._own.replace(await self._store.all(now))
                else:
                    self._own.add(await self._store.since(now - OVERLAP))
                self._own.heard()
                self._read_s = at_s
                async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                    pass

    def _tell(self, new: list[Revocation]) -> None:
        for queue in list(self._listeners):
            try:
                queue.put_nowait(new)
            except asyncio.QueueFull:
                self._listeners.discard(queue)

    async def watch(self) -> AsyncGenerator[News, None]:
        """Everything, then what is new, with signs of life between.

        Raises:
            Unavailable: this process cannot read, or the listener is too slow; to be asked again.
        """
        queue: asyncio.Queue[list[Revocation]] = asyncio.Queue(MOST_WAITING)
        self._check_fresh()
        self._listeners.add(queue)
        known = self._own.everything()
        try:
            for start in range(0, len(known), MOST_IN_ONE):
                yield self._news(known[start : start + MOST_IN_ONE], complete=False)
            yield self._news([])
            while not self._stopping.is_set():
                yield self._news(await _next(queue))
                self._check_fresh()
                if queue not in self._listeners:
                    raise Unavailable("too slow for what is new")
        finally:
            self._listeners.discard(queue)

    def _news(self, revocations: list[Revocation], *, complete: bool = True) -> News:
        return News(revocations, complete, self._own.revoked_before_s)

    def _check_fresh(self) -> None:
        if time.monotonic() - self._read_s > STALE_S:
            raise Unavailable("what is revoked cannot be read")

    async def forget(self) -> None:
        """Deletes what matters no more."""
        for _ in range(MOST_FORGOTTEN):
            if not await self._store.forget(self._clock()):
                return


async def _next(queue: asyncio.Queue[list[Revocation]]) -> list[Revocation]:
    try:
        async with asyncio.timeout(HEARTBEAT_S):
            return await queue.get()
    except TimeoutError:
        return []


def until(now: datetime, longest_token_s: float) -> datetime:
    """When the last token that lived at `now` is over for certain."""
    return now + timedelta(seconds=longest_token_s) + SLACK


SLACK: Final = timedelta(minutes=2)
"""Streams live a minute longer than their tokens, and clocks differ."""
