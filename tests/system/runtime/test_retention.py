"""How long rows are kept: said of every table of every service, and kept by a job that may die."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Column, DateTime, MetaData, Table, Uuid

from mesh import catalog
from mesh.runtime import inbox, kept, migrate, retention, tables
from mesh.runtime.ids import uuid7
from mesh.runtime.kept import Always, For, WithPerson, rules_of
from mesh.runtime.retention import Retention
from mesh.runtime.service import Service
from mesh.runtime.subjects import own
from palestra.mesh.v1.event_pb2 import Event
from tests.support.stores import Stores
from tests.support.told_counters import Bus

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BY_THE_RUNTIME = frozenset({"partitions"})
_SCHEMA = (
    "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
    "AND relkind IN ('r', 'p') AND NOT relispartition"
)


def service_of(name: str) -> Service:
    found: Service = importlib.import_module(f"services.{name}.service").SERVICE
    return found


def tables_of(name: str) -> dict[str, Table]:
    declared = service_of(name).tables
    assert declared is not None, "services say how long their rows are kept"
    return {**tables.METADATA.tables, **declared.tables}


@pytest.mark.parametrize("name", [each.name for each in catalog.SERVICES])
def test_of_every_table_it_is_said_how_long_its_rows_are_kept(name: str, stores: Stores) -> None:
    url = stores.database_url(name)
    migrate.migrate(url, service_of(name).migrations)
    with psycopg.connect(url) as connection:
        made = {table for (table,) in connection.execute(_SCHEMA).fetchall()}
    declared = tables_of(name)
    versions = {"runtime_version", "service_version"}
    assert made - versions == set(declared), "every table is declared, and every declared made"
    unsaid = sorted(each for each, table in declared.items() if not rules_of(table))
    assert unsaid == [], "say it beside the table: info=kept(…), see mesh/runtime/kept.py"


@pytest.mark.parametrize("name", [each.name for each in catalog.SERVICES])
def test_what_a_job_is_said_to_drop_there_is_a_job_for(name: str) -> None:
    source = inspect.getsource(importlib.import_module(f"services.{name}.service"))
    jobs = set(re.findall(r'Job\("([^"]+)"', source))
    declared = service_of(name).tables
    assert declared is not None
    for table in declared.tables.values():
        for rule in rules_of(table):
            if isinstance(rule, For):
                assert rule.since in table.c
                assert isinstance(table.c[rule.since].type, DateTime)
                assert not rule.by or rule.by in jobs, f"{table.name}: {rule.by}"
    for table in tables.METADATA.tables.values():
        told = {rule.by for rule in rules_of(table) if isinstance(rule, For)}
        assert told <= {"", *BY_THE_RUNTIME}


@pytest.mark.parametrize("name", [each.name for each in catalog.SERVICES])
def test_what_is_kept_with_a_person_is_a_subjects_and_what_is_kept_always_is_not(
    name: str,
) -> None:
    service = service_of(name)
    covered = {table for each in (*service.subjects, own.Traces()) for table in each.tables}
    for table in tables_of(name).values():
        rules = rules_of(table)
        if any(isinstance(rule, WithPerson) for rule in rules):
            assert table.name in covered, "what goes with him is erased with him"
        if any(isinstance(rule, Always) for rule in rules):
            assert table.name not in covered


def test_a_table_is_kept_always_or_otherwise() -> None:
    with pytest.raises(ValueError, match="always, or otherwise"):
        kept.kept()
    with pytest.raises(ValueError, match="always, or otherwise"):
        kept.kept(Always("x"), WithPerson("y"))


def keeper(bus: Bus, name: str = "identity", now: datetime = NOW) -> Retention:
    return Retention(bus.publisher, tables_of(name).values(), lambda: now)


async def rows(bus: Bus, query: str, values: Any = None) -> list[tuple[Any, ...]]:
    url = bus.stores.database_url("identity")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query, values)
        return await cursor.fetchall() if cursor.description else []


async def acted(bus: Bus, age: timedelta, count: int = 1) -> None:
    await rows(
        bus,
        "INSERT INTO audit_records SELECT uuidv7(), %(at)s, 'm', 'c', 'users/x', 'r', 'OK', 'i'"
        " FROM generate_series(1, %(count)s)",
        {"at": NOW - age, "count": count},
    )


async def left(bus: Bus, table: str = "audit_records") -> int:
    ((count,),) = await rows(bus, f"SELECT count(*) FROM {table}")
    return int(count)


async def test_audit_records_stay_so_long_as_certificates_say_and_no_longer(bus: Bus) -> None:
    await acted(bus, tables.AUDIT_KEPT - timedelta(seconds=1), 3)
    await acted(bus, tables.AUDIT_KEPT + timedelta(seconds=1), 2_500)
    await keeper(bus).turn()
    assert await left(bus) == 3
    await keeper(bus, now=NOW + timedelta(seconds=2)).turn()
    assert await left(bus) == 0


async def test_a_turn_that_is_killed_leaves_the_rest_to_the_next(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await acted(bus, tables.AUDIT_KEPT + DAY, 2_500)
    monkeypatch.setattr(retention, "MOST_BATCHES", 1)
    await keeper(bus).turn()
    assert await left(bus) == 1_500, "a batch, whole"
    monkeypatch.setattr(retention, "MOST_BATCHES", 10)
    await keeper(bus).turn()
    assert await left(bus) == 0


async def test_two_at_once_drop_what_one_would(bus: Bus) -> None:
    await acted(bus, tables.AUDIT_KEPT + DAY, 3_500)
    await acted(bus, DAY, 7)
    await asyncio.gather(*(keeper(bus).turn() for _ in range(4)))
    await keeper(bus).turn()
    assert await left(bus) == 7


def event(version: int, key: str = "users/x") -> Event:
    return Event(id=str(uuid7()), type="t", key=key, key_version=version)


async def remember(bus: Bus, key: str, age: timedelta) -> None:
    await rows(
        bus,
        "INSERT INTO inbox (handler, key, key_version, handled_at) VALUES ('h', %s, 3, %s)",
        (key, NOW - age),
    )


async def test_a_key_that_was_quiet_is_forgotten_and_one_with_a_dead_letter_is_not(
    bus: Bus,
) -> None:
    await remember(bus, "quiet", tables.INBOX_KEPT + DAY)
    await remember(bus, "parked", tables.INBOX_KEPT + DAY)
    await remember(bus, "fresh", DAY)
    for key, parked, age in (("parked", True, 99), ("given up", False, 91), ("young", False, 89)):
        await rows(
            bus,
            "INSERT INTO dead_letters VALUES ('h', %s, 4, 't', '', 'e', 5, %s, %s)",
            (key, parked, NOW - age * DAY),
        )
    await keeper(bus).turn()
    assert await rows(bus, "SELECT key FROM inbox ORDER BY 1") == [("fresh",), ("parked",)]
    letters = await rows(bus, "SELECT key FROM dead_letters ORDER BY 1")
    assert letters == [("parked",), ("young",)]


async def test_each_event_keeps_its_key_remembered_anew(bus: Bus) -> None:
    await remember(bus, "users/x", tables.INBOX_KEPT - DAY)
    told = {"handler": "h", "key": "users/x", "key_version": 4}
    async with bus.publisher.transaction() as session:
        assert await session.row(inbox._REMEMBER, told) is not None
    await keeper(bus, now=NOW + 2 * DAY).turn()
    assert await left(bus, "inbox") == 1
    async with bus.publisher.transaction() as session:
        assert await session.row(inbox._REMEMBER, told) is None, "it had its effect"


async def test_a_table_that_cannot_be_cleared_keeps_no_other_waiting(bus: Bus) -> None:
    await acted(bus, tables.AUDIT_KEPT + DAY)
    nowhere = Table(
        "nowhere",
        MetaData(),
        Column("id", Uuid, primary_key=True),
        Column("at", DateTime(timezone=True)),
        info=kept.kept(For(DAY, "at", "a test")),
    )
    await Retention(bus.publisher, [nowhere, tables.AUDIT], lambda: NOW).turn()
    assert await left(bus) == 0
