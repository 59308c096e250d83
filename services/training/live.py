"""Live events of activities, through Redis, so that any worker serves any watcher.

Owns the channels and the list of what is watched. Nothing here is the truth: a
watcher reads the activity's state from the store, and misses at most a beat.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from palestra.training.v1 import activity_service_pb2 as pb
from services.training.watchers import Seat, Switchboard

_WATCHED: Final = "training:watched"
_CHANNEL: Final = "training:live:"
WATCHED_FOR_S: Final = 15.0
SEATED_WITHIN_S: Final = 5.0
QUIET_S: Final = 1.0
POLL_S: Final = 0.4
MOST_UNPUBLISHED: Final = 10_000
"""Activities whose newest waits to be sent."""
_log = structlog.get_logger(__name__)


def finished_event() -> bytes:
    """The last event of a watched activity, a serialised WatchActivityResponse."""
    return pb.WatchActivityResponse(
        ended=pb.WatchEnded(reason=pb.WATCH_END_FINISHED)
    ).SerializeToString()


def resumable_event() -> bytes:
    """The last event of a watch that ends before its activity does: watch again."""
    return pb.WatchActivityResponse(
        ended=pb.WatchEnded(reason=pb.WATCH_END_RESUMABLE)
    ).SerializeToString()


def deleted_event() -> bytes:
    """The last event of an activity that was deleted while watched."""
    return pb.WatchActivityResponse(
        ended=pb.WatchEnded(reason=pb.WATCH_END_DELETED)
    ).SerializeToString()


class Watchlist:
    """Which activities somebody watches, as this process knows it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._watched: frozenset[str] = frozenset()

    def __contains__(self, activity: str) -> bool:
        return activity in self._watched

    async def keep(self) -> None:
        """Reads the list again and again, until cancelled."""
        while True:
            try:
                names = await self._redis.zrangebyscore(_WATCHED, time.time(), "+inf")
                self._watched = frozenset(
                    name.decode() for name in names if isinstance(name, bytes)
                )
            except RedisError as error:
                _log.warning("watchlist_unavailable", error=type(error).__name__)
            await asyncio.sleep(POLL_S)


class LiveBus:
    """Publishes what is new in watched activities, and brings it to watchers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.watchlist = Watchlist(redis)
        self._newest: dict[str, bytes] = {}
        self._news = asyncio.Event()
        self._switchboard = Switchboard(redis, _CHANNEL, self._enlist)

    def offer(self, activity: str, update: bytes) -> None:
        """The newest of an activity, to be sent soon. Nobody waits for it: it may be lost."""
        if activity in self._newest or len(self._newest) < MOST_UNPUBLISHED:
            self._newest[activity] = update
            self._news.set()

    async def keep_publishing(self) -> None:
        """Sends what is offered, until cancelled; a Redis in trouble costs a beat, no more."""
        while True:
            await self._news.wait()
            self._news.clear()
            newest, self._newest = self._newest, {}
            pipeline = self._redis.pipeline(transaction=False)
            for activity, update in newest.items():
                pipeline.publish(_CHANNEL + activity, update)
            try:
                await pipeline.execute()
            except RedisError as error:
                _log.warning("live_unavailable", error=type(error).__name__)

    async def keep_listening(self) -> None:
        """Brings updates to this process's watchers, until cancelled."""
        await self._switchboard.keep_listening()

    @asynccontextmanager
    async def watch(self, activity: str) -> AsyncIterator[AsyncIterator[bytes | None]]:
        """The updates of an activity as they come; None first, and now and then where none does.

        They end where Redis is in trouble: what is published meanwhile comes to nobody.

        Raises:
            Unavailable: too many watch on this worker.
        """
        seat = self._switchboard.join(activity)
        try:
            async with aclosing(_updates(seat)) as updates:
                yield updates
        finally:
            self._switchboard.leave(activity, seat)

    async def _enlist(self, activities: Collection[str]) -> None:
        now = time.time()
        pipeline = self._redis.pipeline(transaction=False)
        if activities:
            pipeline.zadd(_WATCHED, dict.fromkeys(activities, now + WATCHED_FOR_S))
        pipeline.zremrangebyscore(_WATCHED, "-inf", now)
        await pipeline.execute()


async def _updates(seat: Seat) -> AsyncGenerator[bytes | None, None]:
    if not await seat.seated(SEATED_WITHIN_S):
        return
    yield None
    while True:
        update = await seat.take(QUIET_S)
        if update is None and seat.given_up:
            return
        yield update
