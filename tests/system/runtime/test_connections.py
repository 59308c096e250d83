"""A database's connections: the last used first, none lost, none given to two at once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import psycopg
import pytest
import pytest_asyncio
from psycopg_pool.pool_async import WaitingClient
from sqlalchemy import Float, bindparam, func, select

from mesh.runtime import connections
from mesh.runtime.asking import Connection
from mesh.runtime.errors import Unavailable
from mesh.runtime.sql import Database, Statement
from tests.support.stores import Stores

POOL = 3
_BACKEND = Statement(select(func.pg_backend_pid()))
_SLEEP = Statement(
    select(func.pg_backend_pid()).select_from(
        func.pg_sleep(bindparam("seconds", type_=Float)).alias("slept")
    )
)


@pytest_asyncio.fixture
async def database(stores: Stores) -> AsyncIterator[Database]:
    url = stores.database_url("training")
    opened = Database(url, pool_size=POOL, application=f"test-{uuid.uuid4().hex[:8]}")
    await opened.open()
    yield opened
    await opened.close()


async def backend(database: Database) -> int:
    """Who answered."""
    row = await database.row(_BACKEND, {})
    assert row is not None
    return int(row[0])


async def slept(database: Database, seconds: float) -> int:
    """Who answered, after a while."""
    row = await database.row(_SLEEP, {"seconds": seconds})
    assert row is not None
    return int(row[0])


async def test_the_last_used_is_used_next(database: Database) -> None:
    together = set(await asyncio.gather(*(slept(database, 0.2) for _ in range(POOL))))
    assert len(together) == POOL
    assert len({await backend(database) for _ in range(20)}) == 1


async def test_many_more_than_there_are_get_one_each_and_nobody_waits_for_ever(
    database: Database,
) -> None:
    served = await asyncio.gather(*(slept(database, 0.01) for _ in range(40 * POOL)))
    assert len(set(served)) <= POOL
    async with asyncio.timeout(5), database.transaction() as first:
        async with database.transaction() as second, database.session() as third:
            found = [await each.row(_BACKEND, {}) for each in (first, second, third)]
            assert len(set(found)) == POOL
            waiting = asyncio.create_task(backend(database))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        assert await waiting


async def test_nobody_gets_one_in_time_where_all_are_taken(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database._pool, "timeout", 0.2)
    async with database.session(), database.session(), database.session():
        with pytest.raises(Unavailable):
            await backend(database)
    assert await backend(database)


async def test_one_that_broke_is_replaced(database: Database) -> None:
    first = await backend(database)
    with psycopg.connect(database.url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (first,))
    # What only reads is asked again.
    assert await backend(database) != first
    for _ in range(4 * POOL):
        assert await slept(database, 0) != first


async def test_where_one_broke_no_other_of_its_time_is_tried(database: Database) -> None:
    broken = set(await asyncio.gather(*(slept(database, 0.2) for _ in range(POOL))))
    assert len(broken) == POOL
    with psycopg.connect(database.url, autocommit=True) as other:
        for each in broken:
            other.execute("SELECT pg_terminate_backend(%s)", (each,))
    assert await backend(database) not in broken
    # These are not asked again.
    for _ in range(2 * POOL):
        async with database.session() as session:
            row = await session.row(_BACKEND, {})
        assert row is not None
        assert row[0] not in broken


async def test_whoever_gives_up_while_broken_ones_are_replaced_loses_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = database._pool.putconn

    async def slowly(connection: Connection) -> None:
        await asyncio.sleep(0.05)
        await put(connection)

    monkeypatch.setattr(database._pool, "putconn", slowly)
    for _ in range(3):
        broken = set(await asyncio.gather(*(slept(database, 0.1) for _ in range(POOL))))
        with psycopg.connect(database.url, autocommit=True) as other:
            for each in broken:
                other.execute("SELECT pg_terminate_backend(%s)", (each,))
        asking = asyncio.create_task(backend(database))
        await asyncio.sleep(0.03)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0.1 * POOL)
        # Whatever was left broken is found out by who reads.
        await asyncio.gather(*(backend(database) for _ in range(POOL)), return_exceptions=True)
    async with asyncio.timeout(5), database.session(), database.session(), database.session():
        pass


async def test_whoever_gives_up_in_the_middle_leaves_none_busy(database: Database) -> None:
    for _ in range(2 * POOL):
        asking = asyncio.create_task(slept(database, 30))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    async with asyncio.timeout(5):
        assert await asyncio.gather(*(backend(database) for _ in range(POOL)))


async def test_whoever_gives_up_as_one_comes_has_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11's `wait_for` forgets a cancellation that comes with what it waits for."""
    came = WaitingClient.set

    async def comes(place: WaitingClient[Connection], one: Connection) -> bool:
        accepted = await came(place, one)
        asking.cancel()
        return accepted

    async with AsyncExitStack() as taken:
        for _ in range(POOL):
            await taken.enter_async_context(database.session())
        asking = asyncio.create_task(slept(database, 30))
        while not database._connections._waiting:
            await asyncio.sleep(0)
        monkeypatch.setattr(WaitingClient, "set", comes)
    await asyncio.wait({asking}, timeout=5)
    assert asking.cancelled()
    async with asyncio.timeout(5):
        assert len(set(await asyncio.gather(*(slept(database, 0.1) for _ in range(POOL))))) == POOL


async def test_a_change_that_was_not_finished_is_no_ones_next_transaction(
    database: Database,
) -> None:
    async with database.session() as session:
        await session._connection.execute("BEGIN")
    for _ in range(POOL):
        async with database.session() as session:
            status = session._connection.pgconn.transaction_status
            assert status == psycopg.pq.TransactionStatus.IDLE


async def test_the_pool_sees_each_again_after_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(slept(database, 0.1) for _ in range(POOL)))
    assert database._pool.get_stats()["pool_available"] == 0
    monkeypatch.setattr(connections, "KEPT_S", 0.0)
    for _ in range(2 * POOL):
        await backend(database)
    assert database._pool.get_stats()["pool_available"] == POOL


async def test_closed_it_leaves_no_backend_behind(stores: Stores) -> None:
    name = f"test-{uuid.uuid4().hex[:8]}"
    opened = Database(stores.database_url("training"), pool_size=POOL, application=name)
    await opened.open()
    await asyncio.gather(*(slept(opened, 0.1) for _ in range(POOL)))
    late = asyncio.create_task(slept(opened, 0.3))
    await asyncio.sleep(0.1)
    await opened.close()
    assert await late
    assert await until_none(stores.database_url("training"), name) == 0


async def until_none(url: str, application: str) -> int:
    """How many backends are left: a server hears of a closed connection a moment later."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
        left = -1
        for _ in range(100):
            row = await (await other.execute(asked, (application,))).fetchone()
            assert row is not None
            left = int(row[0])
            if not left:
                break
            await asyncio.sleep(0.05)
        return left
