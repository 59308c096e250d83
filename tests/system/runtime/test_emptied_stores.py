"""What tests leave in the stores is gone before the next, though the tables are not made anew."""

from __future__ import annotations

import psycopg
import pytest
import pytest_asyncio

from mesh.runtime.relay import stream
from tests.support.stores import SERVICES, Stores
from tests.support.told_counters import PUBLISHER, Bus


@pytest_asyncio.fixture
async def used(bus: Bus) -> Bus:
    """With a counter, an event that waits for the relay, and one that it has taken away."""
    await bus.count("users/1")
    await bus.count("users/1")
    with _schema(bus.stores) as connection:
        connection.execute("DELETE FROM outbox WHERE key_version = 2")
    await bus.redis.xadd(stream(PUBLISHER, 0), {"e": b""})
    return bus


def _schema(stores: Stores, service: str = PUBLISHER) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(stores.database_url(service), autocommit=True)


async def test_no_row_stays_and_positions_begin_anew(used: Bus) -> None:
    with _schema(used.stores) as connection:
        (before,) = connection.execute("SELECT min(position) FROM outbox").fetchone() or (None,)
        assert used.stores.empty()
        assert await used.counters() == {}
        await used.count("users/2")
        (after,) = connection.execute("SELECT min(position) FROM outbox").fetchone() or (None,)
    assert before is not None
    assert after == before
    assert await used.redis.exists(stream(PUBLISHER, 0)) == 0


async def test_the_revisions_stay(used: Bus) -> None:
    with _schema(used.stores) as connection:
        assert used.stores.empty()
        told = connection.execute("SELECT version_num FROM service_version").fetchall()
    assert len(told) == 1


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more (a int)",
        "ALTER TABLE counters ADD COLUMN more int",
        "ALTER TABLE counters ALTER COLUMN version SET DEFAULT 7",
        "ALTER TABLE outbox DISABLE TRIGGER USER",
        "ALTER TABLE counters ADD CONSTRAINT low CHECK (version < 9)",
        "CREATE INDEX more ON counters (version)",
        "DROP TABLE counters",
        "CREATE FUNCTION more() RETURNS int LANGUAGE sql RETURN 1",
    ],
)
async def test_tables_that_a_test_has_changed_are_made_anew(used: Bus, change: str) -> None:
    with _schema(used.stores) as connection:
        connection.execute(change)
    assert not used.stores.empty()
    renewed = Bus(used.stores)
    await renewed.renew()
    try:
        assert await renewed.counters() == {}
        with _schema(used.stores) as connection:
            found = connection.execute("SELECT to_regclass('more'), to_regproc('more')").fetchone()
        assert found == (None, None)
    finally:
        await renewed.close()


def test_a_test_without_a_bus_finds_no_table(stores: Stores) -> None:
    for service in SERVICES:
        with _schema(stores, service) as connection:
            told = connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
            ).fetchall()
        assert told == []
    assert not stores.empty()
