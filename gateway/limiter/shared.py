"""The counts that all limiters share, in Redis, by the limits library's own scripts.

The strategy is the sliding window counter: two numbers per key whatever the limit, which
expire by themselves after two windows; a moving window would keep an entry per call, and
a fixed one would let twice the limit through around its edge. The count and what it means
for the headers take one trip: asked of the library call by call they would be two, at
190 µs of this process's CPU instead of 67. Decisions that come while a trip is under way
make the next one together, so that under load Redis also writes once for many.

Owns one connection, its life and its patience. Where Redis is away or slow, the answer is
None at once: what then happens is the decider's.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from limits import RateLimitItem
from limits.aio.storage.redis.bridge import RedisBridge
from prometheus_client import Counter
from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import RedisError

from gateway.limiter.asked import Asked
from gateway.limiter.windows import Verdict, Window, verdict
from mesh.observability import schema

PREFIX = "limiter"
MOST_WAITING = 4096
LARGEST_TRIP = 128
CONNECT_S = 2.0
AGAIN_S = 0.25
SAY_AGAIN_S = 30.0
LOST = Counter(schema.LIMITER_AWAY, "Times that Redis failed, or was too slow to wait for.")
_log = structlog.get_logger(__name__)
_ACQUIRE, _LOOK = RedisBridge.SCRIPT_ACQUIRE_SLIDING_WINDOW, RedisBridge.SCRIPT_SLIDING_WINDOW
_ACQUIRE_SHA, _LOOK_SHA = (
    hashlib.sha1(script, usedforsecurity=False).hexdigest() for script in (_ACQUIRE, _LOOK)
)
_AWAY = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)
_Waiting = tuple[Asked, "asyncio.Future[Verdict | None]"]


class SharedWindows:
    """Counts in Redis; `run` keeps the connection, for as long as the process lives."""

    def __init__(
        self, url: str, patience_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`patience_s` is for one trip to Redis."""
        self._pool = ConnectionPool.from_url(url, max_connections=1)
        self._patience_s = patience_s
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._news = asyncio.Event()
        self._said_at = -SAY_AGAIN_S
        self.up = False
        """Whether Redis answers."""

    async def count(self, asked: Asked) -> Verdict | None:
        """Counts a call, or refuses it and counts nothing; None where Redis cannot say."""
        if not self.up or len(self._waiting) >= MOST_WAITING:
            return None
        future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        self._news.set()
        return await future

    async def run(self) -> None:
        """Connects, serves, and connects again, until cancelled."""
        try:
            while True:
                try:
                    connection = await self._connect()
                    self.up = True
                    await self._serve(connection)
                except _AWAY as error:
                    connected = self.up
                    await self._gave_up(error)
                    if not connected:
                        await asyncio.sleep(AGAIN_S)
        finally:
            self._down()
            await self._pool.disconnect()

    async def _connect(self) -> Connection:
        async with asyncio.timeout(CONNECT_S):
            connection: Connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            await self._ask(connection, [("SCRIPT", "LOAD", text) for text in (_ACQUIRE, _LOOK)])
        _log.info("counts in redis")
        return connection

    async def _serve(self, connection: Connection) -> None:
        """Trip after trip, until one fails."""
        while True:
            await self._news.wait()
            trip, self._waiting = self._waiting[:LARGEST_TRIP], self._waiting[LARGEST_TRIP:]
            if not self._waiting:
                self._news.clear()
            try:
                await self._trip(connection, trip)
            finally:
                for _, future in trip:
                    _tell(future, None)

    async def _trip(self, connection: Connection, trip: Sequence[_Waiting]) -> None:
        commands = [each for asked, _ in trip for each in _commands(asked)]
        async with asyncio.timeout(self._patience_s):
            answers = await self._ask(connection, commands)
        for at, (asked, future) in enumerate(trip):
            _tell(future, _verdict(asked, answers[2 * at], answers[2 * at + 1]))

    async def _ask(self, connection: Connection, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        await connection.send_packed_command(connection.pack_commands(commands))
        return [await connection.read_response() for _ in commands]

    async def _gave_up(self, error: Exception) -> None:
        LOST.inc()
        self._down()
        # What it still sends would be read as the answer to another question.
        with contextlib.suppress(*_AWAY):
            await self._pool.disconnect()
        self._pool.reset()  # type: ignore[no-untyped-call]
        now = self._clock()
        if now - self._said_at >= SAY_AGAIN_S:
            self._said_at = now
            _log.warning("redis is away: each limiter counts alone", error=repr(error))

    def _down(self) -> None:
        self.up = False
        waiting, self._waiting = self._waiting, []
        self._news.clear()
        for _, future in waiting:
            _tell(future, None)


def _tell(future: asyncio.Future[Verdict | None], found: Verdict | None) -> None:
    # Whoever asked may have gone.
    if not future.done():
        future.set_result(found)


def keys(item: RateLimitItem, key: str) -> tuple[str, str]:
    """The keys of the window before and of this one, named as the library does."""
    current = f"{PREFIX}:{{{item.key_for(key)}}}"
    return f"{current}/-1", current


def _commands(asked: Asked) -> list[tuple[Any, ...]]:
    previous, current = keys(asked.item, asked.key)
    window_s = asked.item.get_expiry()
    return [
        ("EVALSHA", _ACQUIRE_SHA, 2, previous, current, asked.item.amount, window_s, asked.hits),
        ("EVALSHA", _LOOK_SHA, 2, previous, current, window_s),
    ]


def _verdict(asked: Asked, acquired: Any, found: Sequence[Any]) -> Verdict:
    previous, previous_ttl_ms, current, current_ttl_ms = (int(value or 0) for value in found)
    window = Window(
        previous, max(0, previous_ttl_ms) / 1000, current, max(0, current_ttl_ms) / 1000
    )
    return verdict(
        allowed=bool(acquired),
        limit=asked.item.amount,
        window_s=asked.item.get_expiry(),
        window=window,
    )
