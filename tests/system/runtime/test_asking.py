"""Statements as libpq has them: values there and back, large ones, errors, given up, hung up on."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    select,
    text,
)

from mesh.runtime import asking
from mesh.runtime.errors import MeshError, Unavailable
from mesh.runtime.sql import Conflict, Database, Session, Statement
from tests.support.stores import Stores

_PID = Statement(select(func.pg_backend_pid()))
_THINGS = Table("asked", MetaData(), Column("id", Integer, primary_key=True), Column("said", Text))
_ADD = Statement(insert(_THINGS).values(id=bindparam("id"), said=bindparam("said")))
_ALL = Statement(select(_THINGS.c.id, _THINGS.c.said).order_by(_THINGS.c.id))
_BIG = 12 << 20
_BYTES = bindparam("value", type_=LargeBinary)
_SAID_BACK = Statement(select(cast(_BYTES, LargeBinary), func.length(cast(_BYTES, LargeBinary))))
_SLEEP = Statement(text("SELECT pg_sleep(30), length(:value)").bindparams(_BYTES))


@pytest_asyncio.fixture
async def database(stores: Stores) -> AsyncIterator[Database]:
    """One connection alone, so that it is known who was asked."""
    opened = Database(stores.database_url("training"), pool_size=1)
    await opened.open()
    async with opened.session() as session:
        await session._connection.execute("CREATE TABLE asked (id integer PRIMARY KEY, said text)")
    yield opened
    async with opened.session() as session:
        await session._connection.execute("DROP TABLE asked")
    await opened.close()


async def backend(database: Database) -> int:
    row = await database.row(_PID, {})
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        -(1 << 40),
        1 << 80,
        2.5,
        "straße 100 %s %% $1",
        b"\x00\xff",
        uuid.UUID(int=5),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        date(2026, 2, 28),
        timedelta(days=-1, microseconds=3),
        ["a", None, ""],
        [b"\x00", b""],
        [uuid.UUID(int=1)],
        [1, 1 << 40],
        [],
    ],
    ids=repr,
)
async def test_a_value_comes_back_as_by_psycopg_itself(database: Database, value: Any) -> None:
    async with database.session() as session:
        connection = session._connection
        answer = await connection.ask(b"SELECT $1", [value], [psycopg.adapt.PyFormat.AUTO])
        cursor = await connection.execute("SELECT %s", [value], binary=True)
        assert connection.rows_of(answer) == await cursor.fetchall()


async def test_what_a_socket_does_not_take_at_once_comes_whole(database: Database) -> None:
    value = bytes(range(256)) * (_BIG // 256)
    for _ in range(2):
        row = await database.row(_SAID_BACK, {"value": value})
        assert row == (value, _BIG)


async def test_rows_of_a_listing_can_be_read_when_the_connection_is_somebody_elses(
    database: Database,
) -> None:
    for each in range(3):
        assert await database.run(_ADD, {"id": each, "said": f"no {each}"}) == 1
    listing = await database.listing(_ALL, {})
    assert (len(listing), listing.raw(1)) == (3, [b"no 0", b"no 1", b"no 2"])
    assert await backend(database)
    assert [listing.row(each) for each in range(3)] == await database.rows(_ALL, {})
    with pytest.raises(IndexError):
        listing.row(3)


async def test_an_error_says_what_it_means_and_the_connection_goes_on(database: Database) -> None:
    first = await backend(database)
    await database.run(_ADD, {"id": 1, "said": "once"})
    for _ in range(2):
        with pytest.raises(Conflict, match="asked_pkey"):
            await database.run(_ADD, {"id": 1, "said": "twice"})
    with pytest.raises(MeshError, match=r"U\+0000"):
        await database.run(_ADD, {"id": 2, "said": "a\0b"})
    wrong = Statement(select(text("nothing_of_this_name")))
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await database.row(wrong, {})
    with pytest.raises(KeyError, match="said"):
        await database.run(_ADD, {"id": 3})
    assert await database.rows(_ALL, {}) == [(1, "once")]
    assert await backend(database) == first


async def test_in_a_transaction_an_error_takes_back_what_was_before_it(database: Database) -> None:
    async def twice(session: Session) -> None:
        await session.run(_ADD, {"id": 1, "said": "first"})
        await session.run(_ADD, {"id": 1, "said": "again"})

    with pytest.raises(Conflict):
        async with database.transaction() as session:
            await twice(session)
    assert await database.rows(_ALL, {}) == []
    async with database.transaction() as session:
        await session.run_many(_ADD, [{"id": each, "said": "many"} for each in (1, 2)])
        await session.run(_ADD, {"id": 3, "said": None})
    assert await database.rows(_ALL, {}) == [(1, "many"), (2, "many"), (3, None)]


async def test_a_table_that_becomes_another_is_asked_anew(database: Database) -> None:
    await database.run(_ADD, {"id": 1, "said": "7"})
    assert await database.rows(_ALL, {}) == [(1, "7")]
    async with database.session() as session:
        alter = "ALTER TABLE asked ALTER COLUMN said TYPE integer USING said::integer"
        await session._connection.execute(alter)
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        await database.rows(_ALL, {})
    assert await database.rows(_ALL, {}) == [(1, 7)]


async def test_of_many_statements_the_backend_keeps_the_last_used(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MOST_PREPARED", 5)
    kept = Statement(
        text("SELECT count(*) FROM pg_prepared_statements WHERE starts_with(name, 'mesh_')")
    )
    for each in range(20):
        assert await database.row(Statement(select(text(str(each)))), {}) == (each,)
        row = await database.row(kept, {})
        assert row is not None
        assert row[0] <= 5
    # What went is prepared again.
    assert await database.row(Statement(select(text("0"))), {}) == (0,)


async def test_values_of_other_types_are_another_statement_to_postgresql(
    database: Database,
) -> None:
    value = bindparam("value", type_=BigInteger)
    asked = Statement(select(cast(func.pg_typeof(value), Text), value))
    listed = Statement(select(func.cardinality(bindparam("value", type_=ARRAY(Text)))))
    for given in (1, 1 << 20, 1 << 40, 2):
        assert await database.row(asked, {"value": given}) == ("bigint", given)
    for many in ([], ["a"], [None], ["a", "b"]):
        assert await database.row(listed, {"value": many}) == (len(many),)


async def test_who_gives_up_while_much_is_on_its_way_leaves_the_connection_whole(
    database: Database,
) -> None:
    first = await backend(database)
    for wait_s in (0, 0.001, 0.01, 0.1, 0.5):
        task = asyncio.create_task(database.row(_SLEEP, {"value": b"x" * _BIG}))
        await asyncio.sleep(wait_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await backend(database) == first


async def test_who_hangs_up_in_between_is_found_out_and_costs_nothing_until_then(
    database: Database,
) -> None:
    first = await backend(database)
    with psycopg.connect(database.url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (first,))
    await asyncio.sleep(0.2)
    before = time.process_time()
    await asyncio.sleep(0.5)
    assert time.process_time() - before < 0.25
    assert await backend(database) != first


async def test_a_socket_of_the_number_of_a_broken_one_is_its_owners(database: Database) -> None:
    """The loop has forgotten what it watched, whichever way the connection went."""
    loop = asyncio.get_running_loop()
    for ended_in_the_middle in (True, False):
        asked = asyncio.create_task(database.run(_SLEEP, {"value": b""}))
        await asyncio.sleep(0.1)
        async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as other:
            if not ended_in_the_middle:
                asked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asked
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'palestra'"
            )
        if ended_in_the_middle:
            with pytest.raises(Unavailable):
                await asked
        await backend(database)
        pairs = [socket.socketpair() for _ in range(40)]
        try:
            for one, other_end in pairs:
                one.setblocking(False)
                other_end.send(b"there")
                assert await asyncio.wait_for(loop.sock_recv(one, 5), 2) == b"there"
        finally:
            for one, other_end in pairs:
                one.close()
                other_end.close()
