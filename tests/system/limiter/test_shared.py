"""Counting in a real Redis, from several limiters at once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import redis
from limits import RateLimitItemPerSecond
from limits.aio.storage.redis import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gateway.limiter import shared
from gateway.limiter.asked import Asked
from gateway.limiter.shared import SharedWindows
from tests.support.stores import Stores
from tests.support.told_counters import until

PATIENT_S = 2.0


def call(key: str, requests: int, window_s: int, hits: int = 1) -> Asked:
    return Asked(key, RateLimitItemPerSecond(requests, window_s), hits)


def fresh() -> str:
    """A key that nobody counted."""
    return uuid.uuid4().hex


@asynccontextmanager
async def limiter(stores: Stores, patience_s: float = PATIENT_S) -> AsyncIterator[SharedWindows]:
    windows = SharedWindows(stores.redis_url("limiter"), patience_s)
    task = asyncio.create_task(windows.run())
    try:
        await until(_is_up(windows))
        yield windows
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _is_up(windows: SharedWindows) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return windows.up

    return holds


@contextmanager
def stopped(stores: Stores) -> Iterator[None]:
    """Redis takes connections and says nothing."""
    (_, process) = stores._running["redis"]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


async def test_many_at_once_from_two_limiters_pass_exactly_as_often_as_is_allowed(
    stores: Stores,
) -> None:
    key = fresh()
    async with limiter(stores) as one, limiter(stores) as other:
        calls = [each.count(call(key, 40, 600)) for _ in range(100) for each in (one, other)]
        found = [each for each in await asyncio.gather(*calls) if each is not None]
    assert len(found) == 200
    passed = [each.remaining for each in found if each.allowed]
    # Each of those that passed was told of another place in the row.
    assert sorted(passed) == list(range(40))
    assert {each.remaining for each in found if not each.allowed} == {0}


async def test_hits_count_as_many_and_what_is_refused_does_not_count(stores: Stores) -> None:
    key = fresh()
    async with limiter(stores) as windows:
        for hits, allowed, remaining in ((3, True, 2), (3, False, 0), (2, True, 0), (1, False, 0)):
            found = await windows.count(call(key, 5, 600, hits))
            assert found is not None
            assert (found.allowed, found.remaining) == (allowed, remaining)


@pytest.mark.parametrize("spent", [(4,), (2, 2), (1, 3)], ids=str)
async def test_one_more_passes_when_it_was_said_and_not_before(
    stores: Stores, spent: tuple[int, ...]
) -> None:
    asked = call(fresh(), 4, 1)
    async with limiter(stores) as windows:
        for number in spent:
            for _ in range(number):
                await windows.count(asked)
            await asyncio.sleep(0.3)
        refused = await windows.count(asked)
        assert refused is not None
        assert not refused.allowed
        until_s = time.monotonic() + refused.wait_s
        while time.monotonic() < until_s - 0.02:
            early = await windows.count(asked)
            if time.monotonic() < until_s - 0.01:
                assert early is not None
                assert not early.allowed
            await asyncio.sleep(0.05)
        await asyncio.sleep(max(0.0, until_s - time.monotonic()) + 0.02)
        passed = await windows.count(asked)
    assert passed is not None
    assert passed.allowed


async def test_the_count_is_the_librarys_own(stores: Stores) -> None:
    """Whoever uses the limits library as it is counts with us, key by key."""
    asked = call(fresh(), 6, 600)
    pool = redis.asyncio.ConnectionPool.from_url(stores.redis_url("limiter"))
    storage = RedisStorage(
        "async+redis://",
        implementation="redispy",
        key_prefix=shared.PREFIX,
        connection_pool=pool,  # type: ignore[arg-type]
    )
    plain = SlidingWindowCounterRateLimiter(storage)
    async with limiter(stores) as windows:
        for left in (5, 3, 1):
            found = await windows.count(asked)
            assert found is not None
            assert found.remaining == left
            assert await plain.hit(asked.item, asked.key)
            stats = await plain.get_window_stats(asked.item, asked.key)
            assert stats.remaining == left - 1
        assert not await plain.hit(asked.item, asked.key)
        refused = await windows.count(asked)
    await pool.aclose()
    assert refused is not None
    assert not refused.allowed


async def test_what_is_stored_is_small_and_goes_by_itself(stores: Stores) -> None:
    asked = call(fresh(), 1000, 60)
    async with limiter(stores) as windows:
        for _ in range(50):
            await windows.count(asked)
    user, password = "palestra", stores._passwords.redis["palestra"]
    path = str(stores._places.run / "redis.sock")
    with redis.Redis(unix_socket_path=path, username=user, password=password) as client:
        names = list(client.scan_iter(f"limiter:*{asked.key}*"))
        assert len(names) == 1
        assert 0 < client.pttl(names[0]) <= 2 * 60_000
        assert client.strlen(names[0]) <= 8


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "training:anything"),
        ("SET", "identity:x", "1"),
        ("XADD", "events:training", "*", "a", "b"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("EVAL", "return 1", "0"),
    ],
    ids=lambda command: command[0],
)
def test_the_limiters_user_can_count_and_nothing_else(
    stores: Stores, command: tuple[str, ...]
) -> None:
    with (
        redis.from_url(stores.redis_url("limiter")) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command)


async def test_a_redis_that_is_silent_costs_no_more_than_the_patience(stores: Stores) -> None:
    async with limiter(stores, patience_s=0.2) as windows:
        asked = call(fresh(), 5, 600)
        assert await windows.count(asked) is not None
        with stopped(stores):
            before = time.monotonic()
            assert await asyncio.gather(*(windows.count(asked) for _ in range(20))) == [None] * 20
            assert time.monotonic() - before < 1.0
            # From then on nobody waits at all.
            took_s = []
            for _ in range(3):
                before = time.monotonic()
                assert await windows.count(asked) is None
                took_s.append(time.monotonic() - before)
            assert min(took_s) < 0.1
        await until(_is_up(windows))
        assert await windows.count(asked) is not None


async def test_a_redis_that_was_killed_is_used_again_and_remembers(stores: Stores) -> None:
    asked = call(fresh(), 2, 600)
    async with limiter(stores) as windows:
        assert await windows.count(asked) is not None
        lost = shared.LOST._value.get()
        stores.kill("redis")
        assert await windows.count(asked) is None
        assert shared.LOST._value.get() > lost
        stores.start("redis")
        await until(_is_up(windows))
        again = await windows.count(asked)
        assert again is not None
        assert (again.allowed, again.remaining) == (True, 0)


async def test_scripts_that_redis_forgot_are_loaded_again(stores: Stores) -> None:
    user, password = "palestra", stores._passwords.redis["palestra"]
    path = str(stores._places.run / "redis.sock")
    asked = call(fresh(), 5, 600)
    async with limiter(stores) as windows:
        assert await windows.count(asked) is not None
        with redis.Redis(unix_socket_path=path, username=user, password=password) as client:
            client.script_flush()
        assert await windows.count(asked) is None
        await until(_is_up(windows))
        assert await windows.count(asked) is not None
