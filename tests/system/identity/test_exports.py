"""An export is whole and of one person, whoever is killed, away, or asks twice."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from mesh.runtime.blobs import KEPT, Blobs, BlobSettings
from mesh.runtime.personkeys import PersonKeys
from mesh.runtime.sealing import Sealer, make_key
from mesh.runtime.sql import Database
from mesh.runtime.subjects import Piece
from services.identity.exports import parts, rules
from services.identity.exports.flow import ExportFlow
from services.identity.exports.rules import Export, State
from services.identity.exports.store import ExportStore
from services.identity.personkeys.flow import PersonKeyFlow
from services.identity.personkeys.rules import UserNotFound
from services.identity.personkeys.store import PersonKeyStore
from tests.support.told_counters import Bus
from tests.support.told_people import Burning, Clock, Fuse, Killed, ToldPeers, execute, register

KIB = 1 << 10


def kept() -> dict[str, list[Piece]]:
    """Small and large things; one file is longer than a part."""
    return {
        "identity": [Piece("profiles.jsonl", b'{"name": "Vera"}\n', "profiles/1")],
        "training": [
            Piece("activities.jsonl", b"a" * KIB, "activities/1"),
            Piece("activities.jsonl", b"b" * KIB, "activities/2"),
            Piece("samples/1.json", b"c" * KIB, ""),
            Piece("samples/1.json", b"d" * KIB, ""),
            Piece("samples/1.json", b"e" * KIB, ""),
            Piece("samples/1.json", b"f" * KIB, "samples/1"),
            Piece("samples/2.json", b"g", "samples/2"),
        ],
        "nothing": [],
    }


EXPECTED = {
    "identity/profiles.jsonl": b'{"name": "Vera"}\n',
    "training/activities.jsonl": b"a" * KIB + b"b" * KIB,
    "training/samples/1.json": b"".join(letter * KIB for letter in (b"c", b"d", b"e", b"f")),
    "training/samples/2.json": b"g",
}


@dataclass
class World:
    """Identity's exports over told services."""

    database: Database
    url: str
    blobs: Blobs
    folder: Path
    sealer: Sealer
    clock: Clock = field(default_factory=Clock)
    peers: ToldPeers = field(default_factory=lambda: ToldPeers(kept()))

    def flow(self, fuse: Fuse | None = None) -> ExportFlow:
        """One process's; with a fuse it ends after so many steps."""
        fuse = fuse or Fuse()
        self.peers.fuse = fuse
        keys = PersonKeys(self.person_keys().fetch)
        return ExportFlow(
            cast("ExportStore", Burning(ExportStore(self.database), fuse)),
            cast("Any", self.peers),
            cast("Blobs", Burning(self.blobs, fuse)),
            keys,
            self.clock,
        )

    def person_keys(self) -> PersonKeyFlow:
        return PersonKeyFlow(PersonKeyStore(self.database), self.sealer, self.clock)

    async def finish(self, user: uuid.UUID, export_id: uuid.UUID) -> Export:
        flow = self.flow()
        await flow.turn()
        return (await flow.export(user, export_id))[0]

    async def archive(self, export: Export) -> zipfile.ZipFile:
        blob = self.blobs.name(export.user_id, "export", KEPT, export.file)
        return zipfile.ZipFile(io.BytesIO(await self.blobs.read(blob, 64 * KIB)))

    async def assert_whole(self, export: Export) -> None:
        assert export.state is State.READY
        found = await self.archive(export)
        assert found.testzip() is None
        names = set(found.namelist())
        assert names == {*EXPECTED, "index.json", "README.txt"}
        assert len(found.namelist()) == len(names), "a file is there twice"
        for name, content in EXPECTED.items():
            assert found.read(name) == content, name
        index = json.loads(found.read("index.json"))
        assert index["person"] == f"users/{export.user_id}"
        assert index["region"] == 7
        told = {each["path"]: each["sizeBytes"] for each in index["files"]}
        assert told == {name: len(content) for name, content in EXPECTED.items()}

    async def assert_nothing_left_but(self, export: Export) -> None:
        """No part, and one archive."""
        for name in await self.blobs.of_kind(export.user_id, parts.KIND, KEPT):
            raise AssertionError(f"the part {name} is left")
        archives = await self.blobs.of_kind(export.user_id, "export", KEPT)
        assert archives == [export.file]
        assert await execute(self.url, "SELECT 1 FROM export_parts") == []


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts of little."""
    monkeypatch.setattr(parts, "PART_BYTES", 2 * KIB)


@pytest_asyncio.fixture
async def world(bus: Bus, tmp_path: Path) -> AsyncIterator[World]:
    settings = BlobSettings(tmp_path / "keys.json", f"file://{tmp_path}/blobs")
    url = bus.stores.database_url("identity")
    yield World(
        bus.publisher, url, Blobs("identity", settings), tmp_path / "blobs", Sealer((make_key(),))
    )


async def test_everything_that_services_give_out_is_in_one_archive(world: World) -> None:
    user = await register(world.url)
    export, steps = await world.flow().request(user, "1", "ru")
    assert export.state is State.GATHERING
    assert [step.service for step in steps] == ["identity", "nothing", "training"]
    export = await world.finish(user, export.export_id)
    await world.assert_whole(export)
    await world.assert_nothing_left_but(export)
    readme = (await world.archive(export)).read("README.txt").decode()
    assert readme.startswith("Palestra: всё, что хранится о вас")
    _, steps = await world.flow().export(user, export.export_id)
    assert all(step.done for step in steps)
    assert sum(step.size_bytes for step in steps) == sum(map(len, EXPECTED.values()))


async def test_killed_at_any_step_it_is_whole_in_the_end(world: World) -> None:
    steps, finished = 0, False
    while not finished:
        user = await register(world.url)
        export, _ = await world.flow().request(user, "1", "en")
        try:
            await world.flow(Fuse(steps)).turn()
            finished = True
        except Killed:
            steps += 1
        export = await world.finish(user, export.export_id)
        await world.assert_whole(export)
    assert steps > 40, "each step of an export was one to be killed at"


async def test_what_a_killed_process_left_in_the_store_goes_with_the_archive(world: World) -> None:
    user = await register(world.url)
    export, _ = await world.flow().request(user, "1", "en")
    for left in range(0, 60, 4):
        try:
            await world.flow(Fuse(left)).turn()
            break
        except Killed:
            continue
    export = await world.finish(user, export.export_id)
    await world.assert_whole(export)
    assert await world.blobs.of_kind(user, parts.KIND, KEPT) == []


async def test_two_processes_on_one_export_make_one_archive(world: World) -> None:
    user = await register(world.url)
    export, _ = await world.flow().request(user, "1", "en")
    one, other = world.flow(), world.flow()
    for _ in range(30):
        moved = await asyncio.gather(
            one.step(user, export.export_id), other.step(user, export.export_id)
        )
        if not any(moved):
            break
    export = await world.finish(user, export.export_id)
    await world.assert_whole(export)
    await world.assert_nothing_left_but(export)


async def test_a_service_that_is_away_is_waited_for_and_the_progress_says_so(world: World) -> None:
    user = await register(world.url)
    export, _ = await world.flow().request(user, "1", "en")
    world.peers.away.add("training")
    flow = world.flow()
    delays = []
    for _ in range(12):
        await flow.turn()
        _, steps = await flow.export(user, export.export_id)
        waiting = {step.service: step for step in steps}["training"]
        delays.append(waiting.next_at - world.clock())
        world.clock.go_on(delays[-1])
    assert delays[0] == rules.FIRST_DELAY
    assert delays == sorted(delays)
    assert delays[-1] == rules.LONGEST_DELAY
    world.peers.away.clear()
    await world.assert_whole(await world.finish(user, export.export_id))


async def test_a_line_that_is_cut_goes_on_where_it_was(world: World) -> None:
    user = await register(world.url)
    export, _ = await world.flow().request(user, "1", "en")
    for pieces in (5, 3, 2, 1):
        world.peers.cut_after = pieces
        await world.flow().turn()
        world.clock.go_on(rules.LONGEST_DELAY)
    await world.assert_whole(await world.finish(user, export.export_id))


async def test_after_a_week_without_a_service_it_has_failed_and_another_may_be_asked_for(
    world: World,
) -> None:
    user = await register(world.url)
    export, _ = await world.flow().request(user, "1", "en")
    world.peers.away.add("training")
    await world.flow().turn()
    world.clock.go_on(rules.GIVEN_UP)
    failed = await world.finish(user, export.export_id)
    assert failed.state is State.FAILED
    assert await world.blobs.of_kind(user, parts.KIND, KEPT) == []
    world.peers.away.clear()
    export, _ = await world.flow().request(user, "2", "en")
    await world.assert_whole(await world.finish(user, export.export_id))


async def test_that_it_is_ready_or_has_failed_is_told_once(world: World) -> None:
    user = await register(world.url)
    export, _ = await world.flow().request(user, "1", "en")
    await asyncio.gather(*(world.flow().turn() for _ in range(4)))
    ready = await world.finish(user, export.export_id)
    told = await execute(world.url, "SELECT kind, details FROM letters")
    assert ready.expires_at is not None
    assert told == [("export_ready", {"until": f"{ready.expires_at:%Y-%m-%d}"})]
    world.peers.away.add("training")
    await world.flow().request(user, "2", "en")
    world.clock.go_on(rules.GIVEN_UP)
    await asyncio.gather(*(world.flow().turn() for _ in range(4)))
    told = await execute(world.url, "SELECT kind FROM letters ORDER BY kind")
    assert told == [("export_failed",), ("export_ready",)]


async def test_an_archive_that_no_row_knows_goes_with_the_one_that_is_known(world: World) -> None:
    user = await register(world.url)
    export, _ = await world.flow().request(user, "1", "en")
    lost = world.blobs.name(user, "export", KEPT, f"{export.export_id}-{uuid.uuid4()}.zip")
    await world.blobs.write(lost, b"of whoever was killed before he told")
    ready = await world.finish(user, export.export_id)
    await world.assert_nothing_left_but(ready)
    await world.blobs.write(lost, b"and of another")
    world.clock.go_on(rules.LIVES)
    expired = await world.finish(user, export.export_id)
    assert expired.state is State.EXPIRED
    assert await world.blobs.of_kind(user, "export", KEPT) == []


async def test_a_lost_part_is_gathered_again(world: World) -> None:
    user = await register(world.url)
    export, _ = await world.flow().request(user, "1", "en")
    flow = world.flow()
    while (await flow.export(user, export.export_id))[0].state is State.GATHERING:
        await flow.step(user, export.export_id)
    lost = (await world.blobs.of_kind(user, parts.KIND, KEPT))[0]
    await world.blobs.delete(parts.blob(world.blobs, user, lost))
    await world.assert_whole(await world.finish(user, export.export_id))


async def test_parts_at_rest_are_sealed_by_the_persons_key(world: World) -> None:
    user = await register(world.url)
    export, _ = await world.flow().request(user, "1", "en")
    flow = world.flow()
    while (await flow.export(user, export.export_id))[0].state is State.GATHERING:
        await flow.step(user, export.export_id)
    stored = [path.read_bytes() for path in world.folder.rglob("*") if path.is_file()]
    assert stored
    assert not any(b"Vera" in content or b"a" * 64 in content for content in stored)


async def test_requests_at_once_make_one_export_and_the_id_is_one_requests(world: World) -> None:
    user = await register(world.url)
    flow = world.flow()
    found = await asyncio.gather(*(flow.request(user, "1", "en") for _ in range(20)))
    assert len({export.export_id for export, _ in found}) == 1
    with pytest.raises(rules.RequestIdReused):
        await flow.request(user, "1", "ru")
    with pytest.raises(rules.ExportUnderWay):
        await flow.request(user, "2", "en")
    with pytest.raises(rules.UserNotFound):
        await flow.request(uuid.uuid4(), "1", "en")


async def test_of_different_requests_at_once_one_is_taken(world: World) -> None:
    user = await register(world.url)
    flow = world.flow()
    found = await asyncio.gather(
        *(flow.request(user, str(number), "en") for number in range(10)), return_exceptions=True
    )
    refused = [each for each in found if isinstance(each, BaseException)]
    assert len(refused) == 9
    assert {type(each) for each in refused} == {rules.ExportUnderWay}


async def test_the_archive_is_read_by_link_for_a_week_and_then_deleted(world: World) -> None:
    user = await register(world.url)
    flow = world.flow()
    export, _ = await flow.request(user, "1", "en")
    with pytest.raises(rules.ExportNotReady):
        await flow.download(user, export.export_id)
    export = await world.finish(user, export.export_id)
    assert f"/kept/identity/{user}/export/" in (await flow.download(user, export.export_id)).uri
    with pytest.raises(rules.ExportNotFound):
        await flow.download(await register(world.url), export.export_id)
    world.clock.go_on(rules.LIVES)
    with pytest.raises(rules.ExportNotReady):
        await flow.download(user, export.export_id)
    export = await world.finish(user, export.export_id)
    assert export.state is State.EXPIRED
    assert await world.blobs.of_kind(user, "export", KEPT) == []
    world.clock.go_on(rules.REMEMBERED)
    await flow.turn()
    assert await flow.exports(user) == []


async def test_one_key_is_made_by_many_and_opens_for_one_person_and_place(world: World) -> None:
    user, other = await register(world.url), await register(world.url)
    found = await asyncio.gather(*(world.person_keys().key(user) for _ in range(10)))
    assert len({key.secret for key in found}) == 1
    keys = PersonKeys(world.person_keys().fetch)
    sealed = await keys.seal(user, b"heart", "activity/1")
    assert await keys.open(user, sealed, "activity/1") == b"heart"
    for whose, place in ((other, "activity/1"), (user, "activity/2")):
        with pytest.raises(Exception, match=r"sealed|changed"):
            await keys.open(whose, sealed, place)
    (row,) = await execute(
        world.url, "SELECT sealed FROM person_keys WHERE user_id = %(u)s", {"u": user}
    )
    assert found[0].secret not in row[0]
    with pytest.raises(UserNotFound):
        await world.person_keys().key(uuid.uuid4())
