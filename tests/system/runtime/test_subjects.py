"""What services keep of people: all of it is declared, given out, and erased, however often."""

from __future__ import annotations

import asyncio
import importlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, Uuid

from mesh import catalog
from mesh.runtime import inbox, migrate
from mesh.runtime.blobs import KEPT, Blobs, BlobSettings
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import user_id
from mesh.runtime.service import Service
from mesh.runtime.subjects import Files, Piece, Rows, Subjects, own, whole
from mesh.runtime.subjects.rpc import contract_of
from mesh.runtime.subjects.subject import Reach
from palestra.mesh.v1.event_pb2 import Event
from tests.support import told_counters
from tests.support.stores import Stores
from tests.support.told_counters import Bus

THINGS = Table(
    "things",
    MetaData(),
    Column("owner_id", Uuid, primary_key=True),
    Column("thing_id", Uuid, primary_key=True),
    Column("title", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("given_by", Uuid),
)
SUBJECT = Rows(
    THINGS,
    without={"secret": "it opens doors"},
    person=("owner_id",),
    mentions={"given_by": None},
)
VERA, PAUL = user_id(0), user_id(0)


def service_of(name: str) -> Service:
    found: Service = importlib.import_module(f"services.{name}.service").SERVICE
    return found


@pytest.mark.parametrize("name", [each.name for each in catalog.SERVICES])
def test_every_service_gives_out_and_erases(name: str) -> None:
    methods = {method.name for method in contract_of(name).methods}
    assert methods == {"ExportData", "EraseData", "ListUnerased"}
    assert service_of(name).subjects


@pytest.mark.parametrize("name", [each.name for each in catalog.SERVICES])
def test_every_table_is_a_subjects_or_has_a_reason_not_to_be(name: str, stores: Stores) -> None:
    service = service_of(name)
    url = stores.database_url(name)
    migrate.migrate(url, service.migrations)
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition"
        ).fetchall()
    covered = {table for each in (*service.subjects, own.Traces()) for table in each.tables}
    reasons = {*own.KEPT, *service.impersonal}
    assert {each for (each,) in found} == covered | reasons
    assert not covered & reasons, "covered, and yet with a reason not to be"


@pytest.mark.parametrize("name", [each.name for each in catalog.SERVICES])
def test_declared_columns_are_those_that_the_migrations_made(name: str, stores: Stores) -> None:
    service = service_of(name)
    url = stores.database_url(name)
    migrate.migrate(url, service.migrations)
    with psycopg.connect(url) as connection:
        for each in service.subjects:
            if isinstance(each, Rows):
                made = connection.execute(f"SELECT * FROM {each.name} LIMIT 0").description
                assert {column.name for column in made or ()} == set(each.table.c.keys())


class Kept:
    """A service's things of people, in a real schema."""

    def __init__(self, bus: Bus, blobs: Blobs) -> None:
        self.database = bus.consumer
        self.url = bus.stores.database_url("training")
        self.blobs = blobs
        self.subjects = Subjects(
            Reach("training", self.database, blobs), [SUBJECT], Files(frozenset({"archive"}))
        )

    async def execute(self, query: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            cursor = await connection.execute(query, values)
            return await cursor.fetchall() if cursor.description else []

    async def things(self, owner: uuid.UUID, count: int, given_by: uuid.UUID | None = None) -> None:
        await self.execute(
            "INSERT INTO things SELECT %(owner)s, uuidv7(), 'thing ' || n, 'x', %(by)s"
            " FROM generate_series(1, %(count)s) n",
            {"owner": owner, "count": count, "by": given_by},
        )

    async def exported(self, user: uuid.UUID, cursor: str = "") -> list[Piece]:
        return [piece async for piece in self.subjects.export(user, cursor)]


@pytest_asyncio.fixture
async def kept(bus: Bus, tmp_path: Path) -> AsyncIterator[Kept]:
    blobs = Blobs("training", BlobSettings(tmp_path / "keys.json", f"file://{tmp_path}/blobs"))
    made = Kept(bus, blobs)
    await made.execute(
        "CREATE TABLE things (owner_id uuid, thing_id uuid, title text NOT NULL,"
        " secret bytea NOT NULL, given_by uuid, PRIMARY KEY (owner_id, thing_id))"
    )
    yield made


def test_a_column_that_nobody_decided_about_is_refused() -> None:
    with pytest.raises(ValueError, match=r"things\.secret: shown how, or why not"):
        Rows(THINGS, person=("owner_id",))
    with pytest.raises(ValueError, match="no column colour"):
        Rows(THINGS, without={"colour": "", "secret": ""}, person=("owner_id",))


async def test_everything_of_one_person_and_nothing_of_another_is_given_out(kept: Kept) -> None:
    await kept.things(VERA, 250)
    await kept.things(PAUL, 3, given_by=VERA)
    await kept.blobs.write(kept.blobs.name(VERA, "map", KEPT, "a.webp"), b"m" * 1_000_000)
    await kept.blobs.write(kept.blobs.name(VERA, "archive", KEPT, "b.zip"), b"not again")
    await kept.blobs.write(kept.blobs.name(PAUL, "map", KEPT, "c.webp"), b"another's")
    files: dict[str, bytes] = {}
    for piece in await kept.exported(VERA):
        assert len(piece.content) <= whole.PIECE_BYTES
        files[piece.file] = files.get(piece.file, b"") + piece.content
    assert set(files) == {"things.jsonl", "files/kept/map/a.webp"}
    rows = [json.loads(line) for line in files["things.jsonl"].splitlines()]
    assert {row["owner_id"] for row in rows} == {str(VERA)}
    assert sorted(row["title"] for row in rows) == sorted(f"thing {n}" for n in range(1, 251))
    assert "secret" not in rows[0]
    assert files["files/kept/map/a.webp"] == b"m" * 1_000_000


async def test_after_a_cut_at_any_piece_it_goes_on_with_the_same_bytes(kept: Kept) -> None:
    await kept.things(VERA, 5_000)
    await kept.blobs.write(kept.blobs.name(VERA, "map", KEPT, "a.webp"), b"m" * 700_000)
    await kept.blobs.write(kept.blobs.name(VERA, "map", KEPT, "b.webp"), b"n" * 10)
    pieces = await kept.exported(VERA)
    everything = b"".join(piece.content for piece in pieces)
    places = [index for index, piece in enumerate(pieces) if piece.cursor]
    assert len(places) > 3
    for index in places:
        before = b"".join(piece.content for piece in pieces[: index + 1])
        after = await kept.exported(VERA, pieces[index].cursor)
        assert before + b"".join(piece.content for piece in after) == everything


@pytest.mark.parametrize(
    "cursor", ["nothing/1", "things/[]", 'things/["a","b"]', "things/{", "traces/x", "things/3"]
)
async def test_a_cursor_that_is_none_is_refused(kept: Kept, cursor: str) -> None:
    with pytest.raises(MeshError, match="cursor"):
        await kept.exported(VERA, cursor)


async def test_erasing_by_two_at_once_and_again_counts_each_row_once(kept: Kept) -> None:
    await kept.things(VERA, 2_500)
    await kept.things(PAUL, 3, given_by=VERA)
    await kept.blobs.write(kept.blobs.name(VERA, "map", KEPT, "a.webp"), b"m")
    await kept.subjects.erase(VERA, 0)
    for _ in range(3):
        await asyncio.gather(*(kept.subjects.erase(VERA, 30) for _ in range(4)))
    things, done = await kept.subjects.erase(VERA, 30)
    assert done
    # His own rows, and his name in three of another's.
    assert {each.table: each.count for each in things} == {"things": 2_503, "files": 1}
    assert await kept.exported(VERA) == []
    left = await kept.execute("SELECT owner_id, given_by FROM things")
    assert left == [(PAUL, None)] * 3


async def test_an_erasure_that_has_no_time_says_that_it_is_not_done(kept: Kept) -> None:
    await kept.things(VERA, 2_500)
    _, done = await kept.subjects.erase(VERA, 0)
    assert not done
    assert len(await kept.execute("SELECT 1 FROM things")) == 1_500
    while not done:
        things, done = await kept.subjects.erase(VERA, 0)
        assert things[0].table == "things"
    assert await kept.execute("SELECT 1 FROM things") == []


async def test_who_was_not_erased_here_is_told(kept: Kept) -> None:
    await kept.subjects.erase(VERA, 1)
    assert await kept.subjects.unerased([VERA, PAUL]) == [PAUL]


async def test_late_events_about_an_erased_person_have_no_effect(kept: Kept, bus: Bus) -> None:
    handler = told_counters.handler()
    await kept.subjects.erase(VERA, 1)
    for number, key in enumerate((f"users/{VERA}", f"users/{PAUL}", "users/nobody"), 1):
        card = handler.event(card={"user": key})
        event = Event(
            id="1", type=handler.type, key=key, key_version=1, payload=card.SerializeToString()
        )
        effect = await inbox.handle(bus.consumer, handler, event)
        assert effect == ("erased" if number == 1 else "applied")
    # Of his erasure itself everybody hears, whenever it comes.
    told = Event(type=inbox.USER_ERASED, key=f"users/{VERA}", key_version=2)
    told.payload = handler.event(card={"user": told.key}).SerializeToString()
    assert await inbox.handle(bus.consumer, handler, told) == "applied"
    assert (f"users/{VERA}", 2) in await bus.effects()


async def test_what_is_remembered_of_events_about_him_goes_too(kept: Kept) -> None:
    keys = (f"users/{VERA}", f"users/{VERA}/things/1", f"users/{PAUL}", f"users/{VERA}0")
    for key in keys:
        await kept.execute("INSERT INTO inbox VALUES ('handler', %(key)s, 1)", {"key": key})
        await kept.execute(
            "INSERT INTO dead_letters VALUES"
            " ('handler', %(key)s, 1, 'type', 'event', 'error', 8, false, now())",
            {"key": key},
        )
    await kept.subjects.erase(VERA, 1)
    for table in ("inbox", "dead_letters"):
        left = await kept.execute(f"SELECT key FROM {table} ORDER BY key")
        assert [key for (key,) in left] == sorted(keys[2:])


async def test_what_he_did_is_given_out_in_order(kept: Kept) -> None:
    for number in range(450):
        who = VERA if number % 2 else PAUL
        await kept.execute(
            "INSERT INTO audit_records VALUES"
            " (uuidv7(), now(), %(method)s, 'edge', %(actor)s, '', 'OK', '')",
            {"method": f"method {number}", "actor": f"users/{who}"},
        )
    (piece,) = await kept.exported(VERA)
    assert piece.file == "audit_records.jsonl"
    told = [json.loads(line)["method"] for line in piece.content.splitlines()]
    assert told == [f"method {number}" for number in range(1, 450, 2)]
