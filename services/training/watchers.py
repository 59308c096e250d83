"""The watchers of one process: one subscription at Redis serves them all.

Owns the seats. A seat holds the newest update only, so that a slow watcher costs one
message of memory and skips what is old. Where Redis is in trouble every seat is given
up: whoever sat there watches again, here or on another worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from mesh.runtime.errors import Unavailable

MOST_SEATS: Final = 20_000
REFRESH_S: Final = 5.0
"""How often Redis is told that somebody still watches."""
_LISTEN_S: Final = 0.1
"""The longest that a new watcher waits to be subscribed."""
_log = structlog.get_logger(__name__)


class Seat:
    """One watcher's place."""

    def __init__(self) -> None:
        self._newest: bytes | None = None
        self._wake = asyncio.Event()
        self._seated = asyncio.Event()
        self.given_up = False

    def seat(self) -> None:
        """From now on nothing is missed."""
        self._seated.set()

    def give(self, update: bytes) -> None:
        """Replaces what was not taken yet."""
        self._newest = update
        self._wake.set()

    def give_up(self) -> None:
        """Nothing more will come."""
        self.given_up = True
        self._seated.set()
        self._wake.set()

    async def seated(self, limit_s: float) -> bool:
        """Waits for the subscription; false where there is none in time."""
        try:
            async with asyncio.timeout(limit_s):
                await self._seated.wait()
        except TimeoutError:
            return False
        return not self.given_up

    async def take(self, limit_s: float) -> bytes | None:
        """The newest update; None where none comes in time."""
        try:
            async with asyncio.timeout(limit_s):
                await self._wake.wait()
        except TimeoutError:
            return None
        update, self._newest = self._newest, None
        self._wake.clear()
        return update


class Switchboard:
    """Joins the seats of a process with one subscription."""

    def __init__(
        self, redis: Redis, prefix: str, enlist: Callable[[Collection[str]], Awaitable[None]]
    ) -> None:
        """`prefix` and an activity's name are its channel; `enlist` tells what is watched."""
        self._redis = redis
        self._prefix = prefix
        self._enlist = enlist
        self._seats: dict[str, set[Seat]] = {}
        self._count = 0
        self._subscribed: set[str] = set()
        self._changed = asyncio.Event()

    def join(self, activity: str) -> Seat:
        """A seat for a watcher of the activity.

        Raises:
            Unavailable: every seat is taken.
        """
        if self._count >= MOST_SEATS:
            raise Unavailable("too many watch on this worker", retry_after_s=5)
        seat = Seat()
        self._seats.setdefault(activity, set()).add(seat)
        self._count += 1
        if activity in self._subscribed:
            seat.seat()
        self._changed.set()
        return seat

    def leave(self, activity: str, seat: Seat) -> None:
        """Gives a seat back; nothing where it was given up already."""
        seats = self._seats.get(activity)
        if seats is None or seat not in seats:
            return
        seats.remove(seat)
        self._count -= 1
        if not seats:
            del self._seats[activity]
            self._changed.set()

    async def keep_listening(self) -> None:
        """Brings updates to seats, until cancelled."""
        while True:
            await self._changed.wait()
            subscription = self._redis.pubsub()
            try:
                await self._listen(subscription)
            except RedisError as error:
                _log.warning("watching_unavailable", error=type(error).__name__)
                self._give_up_all()
            finally:
                self._subscribed.clear()
                await subscription.aclose()  # type: ignore[no-untyped-call]

    async def _listen(self, subscription: PubSub) -> None:
        """Until nobody watches any more."""
        asked: set[str] = set()
        enlisted_at = 0.0
        while self._seats or asked:
            if self._changed.is_set():
                self._changed.clear()
                asked = await self._ask(subscription, asked)
                enlisted_at = 0.0
            if time.monotonic() - enlisted_at > REFRESH_S:
                await self._enlist(self._seats)
                enlisted_at = time.monotonic()
            if asked:
                message = await subscription.get_message(timeout=_LISTEN_S)
                if message is not None:
                    self._hear(message)

    async def _ask(self, subscription: PubSub, asked: set[str]) -> set[str]:
        wanted = set(self._seats)
        if new := wanted - asked:
            await subscription.subscribe(*(self._prefix + each for each in new))
        if old := asked - wanted:
            self._subscribed -= old
            await subscription.unsubscribe(*(self._prefix + each for each in old))
        return wanted

    def _hear(self, message: dict[str, Any]) -> None:
        activity = message["channel"].decode().removeprefix(self._prefix)
        seats = self._seats.get(activity, ())
        if message["type"] == "subscribe":
            self._subscribed.add(activity)
            for seat in seats:
                seat.seat()
        elif message["type"] == "message":
            for seat in seats:
                seat.give(message["data"])

    def _give_up_all(self) -> None:
        given_up = [seat for seats in self._seats.values() for seat in seats]
        self._seats.clear()
        self._count = 0
        self._changed.clear()
        for seat in given_up:
            seat.give_up()
