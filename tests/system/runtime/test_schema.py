"""Migrations by many at once, partitions, audit records, leases."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import bindparam, insert, select

from mesh.runtime import migrate, partitions, rendering
from mesh.runtime.audit import LONGEST_RESOURCE, Auditor
from mesh.runtime.calls import Call
from mesh.runtime.errors import MeshError
from mesh.runtime.leases import Leases
from mesh.runtime.partitions import OUTBOX
from mesh.runtime.sql import Conflict, Statement
from mesh.runtime.tables import AUDIT, INBOX
from palestra.training.v1 import activity_pb2
from tests.support.stores import Stores
from tests.support.told_counters import Bus, running, until

_MIGRATE = """
import sys
import uuid
from pathlib import Path
from mesh.runtime.migrate import migrate
print(migrate(sys.argv[1], Path("services/identity/migrations")))
"""


def test_eight_processes_migrate_at_once_and_none_does_what_another_did(stores: Stores) -> None:
    url = stores.database_url("identity")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATE, url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    ended = [(process, *process.communicate(timeout=60)) for process in processes]
    assert [process.returncode for process, _, _ in ended] == [0] * 8, [each[2] for each in ended]
    with psycopg.connect(url) as connection:
        for table in (
            "outbox",
            "inbox",
            "repeats",
            "dead_letters",
            "audit_records",
            "accounts",
            "sessions",
        ):
            found = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
            assert found != (None,), table
    assert migrate.migrate(url, None) is False


async def made_partitions(connection: partitions.Connection) -> list[str]:
    rows = await connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhparent = 'outbox'::regclass ORDER BY 1"
    )
    return [str(name) for (name,) in await rows.fetchall()]


async def test_partitions_are_made_ahead_and_dropped_when_all_was_published(bus: Bus) -> None:
    now = datetime.now(UTC)
    old = now - timedelta(hours=30)
    async with await psycopg.AsyncConnection.connect(
        bus.stores.database_url("identity"), autocommit=True
    ) as connection:
        made = await made_partitions(connection)
        assert len(made) == OUTBOX.ahead + 2
        await partitions.make(connection, OUTBOX, now)
        assert await made_partitions(connection) == made
        await partitions.make(connection, OUTBOX, old)
        await connection.execute(
            "INSERT INTO outbox (occurred_at, id, type, key, key_version, actor, cause, "
            "traceparent, payload) VALUES (%s, uuidv7(), 't', 'k', 1, '', '', '', '')",
            (old,),
        )
        await partitions.drop(connection, OUTBOX, now)
        # The one whose event still waits stays, whatever its age.
        waiting = f"outbox_{old:%Y%m%d%H}"
        assert await made_partitions(connection) == [waiting, *made]
        await connection.execute("UPDATE outbox SET published_at = now()")
        await partitions.drop(connection, OUTBOX, now)
        assert await made_partitions(connection) == made
        await partitions.drop(connection, OUTBOX, now + timedelta(hours=24))
        assert await made_partitions(connection) == made[1:]


async def test_two_processes_make_partitions_at_the_same_instant(bus: Bus) -> None:
    url = bus.stores.database_url("identity")
    later = datetime.now(UTC) + timedelta(hours=100)

    async def make() -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await partitions.make(connection, OUTBOX, later)

    await asyncio.gather(*(make() for _ in range(8)))


_RECORDS = Statement(
    select(AUDIT.c.method, AUDIT.c.actor, AUDIT.c.resource, AUDIT.c.outcome, AUDIT.c.request_id)
)


async def test_an_audit_record_says_who_did_what_and_how_it_ended(bus: Bus) -> None:
    call = Call(method="/x.Y/Z", caller="edge", request_id="r-1")
    await Auditor(bus.publisher).record(call, "users/1", "OK")
    assert await bus.publisher.rows(_RECORDS, {}) == [
        ("/x.Y/Z", "services/edge", "users/1", "OK", "r-1")
    ]


async def test_what_a_refused_request_named_is_kept_whatever_it_was(bus: Bus) -> None:
    call = Call(method="/x.Y/Z", caller="edge")
    await Auditor(bus.publisher).record(call, "users/\0" + "x" * 100_000, "NOT_OWNER")
    ((_, _, resource, _, _),) = await bus.publisher.rows(_RECORDS, {})
    assert len(resource) == LONGEST_RESOURCE
    assert resource.startswith("users/\N{REPLACEMENT CHARACTER}x")


_REMEMBER = Statement(
    insert(INBOX).values(handler="h", key=bindparam("key"), key_version=bindparam("key_version"))
)


async def test_a_broken_constraint_is_a_conflict_one_by_one_and_many_at_once(bus: Bus) -> None:
    row = {"key": "k", "key_version": 1}
    await bus.publisher.run(_REMEMBER, row)
    with pytest.raises(Conflict, match="inbox_pkey"):
        await bus.publisher.run(_REMEMBER, row)
    async with bus.publisher.session() as session:
        with pytest.raises(Conflict, match="inbox_pkey"):
            await session.run_many(_REMEMBER, [row, row])


async def test_a_text_that_no_database_takes_is_the_requests_fault(bus: Bus) -> None:
    with pytest.raises(MeshError) as refused:
        await bus.publisher.run(_REMEMBER, {"key": "a\0b", "key_version": 1})
    assert refused.value.reason == "INVALID_FIELD"


class Worker:
    """Seeks a lease, and notes when it works under it."""

    def __init__(self, url: str, name: str, at_work: list[str]) -> None:
        self._name, self._at_work = name, at_work
        self.leases = Leases(url)
        self.leases.add("the job", self._work)

    async def _work(self) -> None:
        self._at_work.append(self._name)
        try:
            await asyncio.sleep(3600)
        finally:
            self._at_work.remove(self._name)


async def test_a_lease_moves_when_its_holder_dies_and_never_has_two(bus: Bus) -> None:
    url = bus.stores.database_url("identity")
    at_work: list[str] = []
    async with running(Worker(url, "first", at_work).leases.run) as first:
        await until(lambda: _is(at_work, ["first"]))
        async with running(Worker(url, "second", at_work).leases.run):
            await asyncio.sleep(1.2)
            assert at_work == ["first"]
            first.cancel()
            await until(lambda: _is(at_work, ["second"]), 3)


async def test_a_lease_whose_connection_breaks_is_sought_anew(bus: Bus) -> None:
    url = bus.stores.database_url("identity")
    at_work: list[str] = []
    worker = Worker(url, "only", at_work)
    async with running(worker.leases.run):
        await until(lambda: _is(at_work, ["only"]))
        bus.stores.restart("postgres")
        await until(lambda: _is(at_work, []), 3)
        assert not worker.leases.held
        await until(lambda: _is(at_work, ["only"]), 5)


async def test_one_worker_takes_many_leases_within_seconds(bus: Bus) -> None:
    leases = Leases(bus.stores.database_url("identity"))

    async def work() -> None:
        await asyncio.sleep(3600)

    for number in range(24):
        leases.add(f"lease {number}", work)
    async with running(leases.run):
        await until(lambda: _holds(leases, 24), 8)


async def _is(found: list[str], wanted: list[str]) -> bool:
    return found == wanted


async def _holds(leases: Leases, count: int) -> bool:
    return len(leases.held) == count


async def test_a_transaction_of_redis_survives_its_kill(bus: Bus) -> None:
    pipeline = bus.redis.pipeline(transaction=True)
    pipeline.set("identity:a", "1")
    pipeline.set("identity:b", "2")
    await pipeline.execute()
    bus.stores.restart("redis")
    assert [await bus.redis.get(f"identity:{name}") for name in "ab"] == [b"1", b"2"]


def test_activities_from_before_there_were_audiences_stay_their_owners_alone(
    stores: Stores, tmp_path: Path
) -> None:
    url, folder = stores.database_url("training"), Path("services/training/migrations")
    (tmp_path / "versions").mkdir()
    for name in ("0001_activities.py", "0002_rendered_activities.py"):
        shutil.copy(folder / "versions" / name, tmp_path / "versions" / name)
    migrate.migrate(url, tmp_path)
    old = activity_pb2.Activity(
        name="users/x/activities/y", state=activity_pb2.ACTIVITY_STATE_FINISHED, etag="7"
    )
    json = rendering.json_of(old).replace(b',"audience":"ACTIVITY_AUDIENCE_UNSPECIFIED"', b"")
    rows = [
        (uuid.uuid4(), 2, old.SerializeToString(), json),
        (uuid.uuid4(), 2, old.SerializeToString(), None),
        (uuid.uuid4(), 1, old.SerializeToString(), None),
    ]
    with psycopg.connect(url, autocommit=True) as connection:
        for row in rows:
            connection.execute(
                "INSERT INTO activities (user_id, activity_id, state, sport, started_at, version,"
                " event_version, message, json)"
                " VALUES (gen_random_uuid(), %s, %s, 1, now(), 1, 1, %s, %s)",
                row,
            )
        migrate.migrate(url, folder)
        found = {
            each[0]: each[1:]
            for each in connection.execute(
                "SELECT activity_id, audience, message, json FROM activities"
            )
        }
    old.audience = activity_pb2.ACTIVITY_AUDIENCE_NOBODY
    whole = (4, old.SerializeToString(), rendering.json_of(old))
    assert found[rows[0][0]] == whole
    assert found[rows[1][0]] == (*whole[:2], None)
    # One that is live is told for whom it is when it ends.
    assert found[rows[2][0]] == (0, rows[2][2], None)
