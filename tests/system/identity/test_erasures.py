"""Being forgotten: planned once, done everywhere whoever is killed, proved, and kept done."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import OKPKey

from mesh.runtime.blobs import KEPT, Blobs, BlobSettings, Objects
from mesh.runtime.personkeys import PersonKeys
from mesh.runtime.sealing import Sealer, make_key
from mesh.runtime.sql import Database
from mesh.runtime.subjects.tombstones import Tombstones, name_of
from services.identity.certificates.signing import Signer
from services.identity.certificates.store import CertificateKeyStore
from services.identity.codes.store import CodeStore
from services.identity.erasures import rules
from services.identity.erasures.certificates import Certifier
from services.identity.erasures.flow import ErasureFlow
from services.identity.erasures.rules import Erasure, State
from services.identity.erasures.store import ErasureStore
from services.identity.letters.flow import LetterFlow
from services.identity.letters.senders import Mailbox, NotSent, Outgoing, Sender
from services.identity.letters.store import LetterStore
from services.identity.personkeys.flow import PersonKeyFlow
from services.identity.personkeys.rules import UserNotFound
from services.identity.personkeys.store import PersonKeyStore
from services.identity.service import SERVICE
from tests.support.told_counters import Bus
from tests.support.told_people import (
    Burning,
    Clock,
    Fuse,
    Killed,
    ToldPeers,
    address_of,
    execute,
    register,
)

GRACE = timedelta(days=14)


@dataclass
class ToldSessions:
    """Whose sessions were ended."""

    ended: list[uuid.UUID] = field(default_factory=list)

    async def end_all(self, user_id: uuid.UUID, why: str) -> None:
        assert why == "erased"
        self.ended.append(user_id)


@dataclass
class World:
    """Identity's erasures over told services, its own things in real rows."""

    database: Database
    url: str
    folder: Path
    sealer: Sealer
    blobs: Blobs
    clock: Clock = field(default_factory=Clock)
    sessions: ToldSessions = field(default_factory=ToldSessions)
    peers: ToldPeers = field(
        default_factory=lambda: ToldPeers({"identity": [], "integration": [], "training": []})
    )

    carrier: Sender | None = None
    """Who carries letters; the mailbox where nobody else does."""

    @property
    def stones(self) -> Path:
        return self.folder / "blobs" / "tombstones" / "identity"

    def flow(self, fuse: Fuse | None = None) -> ErasureFlow:
        """One process's; with a fuse it ends after so many steps."""
        fuse = fuse or Fuse()
        self.peers.fuse = fuse
        self.peers.own = SERVICE.kept(self.database, self.blobs)
        store = cast("ErasureStore", Burning(ErasureStore(self.database), fuse))
        keys = cast("CertificateKeyStore", Burning(CertificateKeyStore(self.database), fuse))
        tombstones = Tombstones(Objects(f"file://{self.folder}/blobs"), "identity", self.sealer)
        return ErasureFlow(
            store=store,
            peers=cast("Any", self.peers),
            sessions=cast("Any", Burning(self.sessions, fuse)),
            letters=cast("LetterFlow", Burning(self.letters(), fuse)),
            tombstones=cast("Tombstones", Burning(tombstones, fuse)),
            keys=PersonKeys(self.person_keys().fetch),
            certifier=Certifier(Signer(keys, self.sealer, self.clock), self.clock),
            sealer=self.sealer,
            grace=GRACE,
            clock=self.clock,
        )

    def letters(self) -> LetterFlow:
        sender = self.carrier or Mailbox(self.folder / "mail")
        letters, codes = LetterStore(self.database), CodeStore(self.database)
        return LetterFlow(letters, codes, sender, self.sealer, self.clock)

    def mail(self) -> list[dict[str, Any]]:
        """The letters that were carried, the oldest first."""
        found = [json.loads(path.read_text()) for path in (self.folder / "mail").glob("*.json")]
        return sorted(found, key=lambda each: str(each["time"]))

    def person_keys(self) -> PersonKeyFlow:
        return PersonKeyFlow(PersonKeyStore(self.database), self.sealer, self.clock)

    async def finish(self, user: uuid.UUID) -> Erasure:
        """Another process goes on, to the end."""
        await self.flow().turn()
        self.clock.go_on(rules.SETTLES_AFTER)
        await self.flow().turn()
        return await self.flow().erasure(user)

    async def assert_gone(self, user: uuid.UUID) -> None:
        for table in ("accounts", "profiles", "sessions", "person_keys", "exports"):
            left = await execute(
                self.url, f"SELECT 1 FROM {table} WHERE user_id = %(user)s", {"user": user}
            )
            assert left == [], table
        assert await self.blobs.of_person(user) == []
        with pytest.raises(UserNotFound):
            await self.person_keys().key(user)
        assert (self.stones / name_of(user)).is_file()

    async def events(self, user: uuid.UUID) -> list[tuple[str, int]]:
        found = await execute(
            self.url,
            "SELECT type, key_version FROM outbox WHERE key = %(key)s ORDER BY position",
            {"key": f"users/{user}"},
        )
        return [(kind, version) for kind, version in found]


@pytest_asyncio.fixture
async def world(bus: Bus, tmp_path: Path) -> AsyncIterator[World]:
    url = bus.stores.database_url("identity")
    blobs = Blobs("identity", BlobSettings(tmp_path / "keys.json", f"file://{tmp_path}/blobs"))
    yield World(bus.publisher, url, tmp_path, Sealer((make_key(),)), blobs)


async def test_after_the_grace_everything_goes_everywhere_and_a_certificate_proves_it(
    world: World,
) -> None:
    user, other = await register(world.url), await register(world.url)
    key = await world.person_keys().key(user)
    await world.blobs.write(world.blobs.name(user, "avatar", KEPT, "a.webp"), b"face")
    flow = world.flow()
    planned, secret = await flow.request(user)
    assert planned.due_at == world.clock() + GRACE
    world.clock.go_on(GRACE - timedelta(seconds=1))
    await flow.turn()
    assert (await flow.erasure(user)).state is State.PLANNED
    world.clock.go_on(timedelta(seconds=1))
    await flow.turn()
    assert (await flow.erasure(user)).state is State.SETTLING
    await world.assert_gone(user)
    assert world.sessions.ended == [user]
    assert await world.events(user) == [("palestra.identity.v1.UserErased", 2)]
    assert world.peers.erasures == {"integration": 2, "training": 2}
    done = await world.finish(user)
    assert done.state is State.DONE
    # They were asked once more, for what came late.
    assert world.peers.erasures == {"integration": 3, "training": 3}
    claims = await certified(flow, done, secret)
    assert claims["final"] is True
    assert claims["key_destroyed"] == str(key.key_id)
    services = {each["service"]: each for each in claims["services"]}
    assert set(services) == {"identity", "integration", "training"}
    own = {each["table"]: each["count"] for each in services["identity"]["erased"]}
    assert own == dict.fromkeys(
        ("accounts", "addresses", "files", "letters", "person_keys", "profiles"), 1
    )
    assert services["training"]["erased"][0]["count"] == 10
    assert str(user) not in json.dumps(claims)
    left = await execute(world.url, "SELECT user_id FROM accounts")
    assert left == [(other,)]


async def certified(flow: ErasureFlow, erasure: Erasure, secret: str) -> dict[str, Any]:
    """What the certificate says, once its signature is known to be right."""
    found, jwk = await flow.certificate(erasure.erasure_id, secret)
    key = OKPKey.import_key(json.loads(jwk))
    assert not key.is_private
    verified = jwt.decode(found.certificate, key, algorithms=["EdDSA"])
    assert verified.header["kid"] == key.kid
    return verified.claims


async def test_the_certificate_needs_its_secret_and_is_there_when_the_account_is_not(
    world: World,
) -> None:
    user = await register(world.url)
    flow = world.flow()
    planned, secret = await flow.request(user)
    assert (await flow.certificate(planned.erasure_id, secret))[0].certificate == ""
    for wrong_id, wrong in ((planned.erasure_id, secret[:-1]), (uuid.uuid4(), secret)):
        with pytest.raises(rules.ErasureNotFound):
            await flow.certificate(wrong_id, wrong)
    world.clock.go_on(GRACE)
    await flow.turn()
    first = await certified(flow, await flow.erasure(user), secret)
    assert first["final"] is False
    last = await certified(flow, await world.finish(user), secret)
    assert last["final"] is True
    assert {each["looked_again"] for each in last["services"]} == {True}
    (row,) = await execute(world.url, "SELECT secret_sealed, secret_hash FROM erasures")
    assert row[0] is None
    assert secret.encode() not in row[1]


async def test_killed_at_any_step_everything_goes_all_the_same(world: World) -> None:
    steps, finished = 0, False
    while not finished:
        user = await register(world.url)
        planned, secret = await world.flow().request(user)
        world.clock.go_on(GRACE)
        try:
            await world.flow(Fuse(steps)).turn()
            finished = True
        except Killed:
            steps += 1
        done = await world.finish(user)
        assert done.state is State.DONE
        assert done.erasure_id == planned.erasure_id
        await world.assert_gone(user)
        (farewell,) = [each for each in world.mail() if each["to"] == address_of(user)]
        assert farewell["details"] == {"certificate": str(planned.erasure_id)}
        assert await world.events(user) == [("palestra.identity.v1.UserErased", 2)]
        assert (await certified(world.flow(), done, secret))["final"] is True
    assert steps > 30, "each step of an erasure was one to be killed at"


class Away:
    """Nobody takes letters."""

    def __init__(self) -> None:
        self.asked: list[tuple[uuid.UUID, str]] = []

    async def send(self, letter: Outgoing) -> None:
        self.asked.append((letter.letter_id, letter.kind))
        raise NotSent("nobody is there")


async def test_the_last_letter_is_tried_before_the_address_goes_and_holds_nothing_up_for_ever(
    world: World,
) -> None:
    user = await register(world.url)
    world.carrier = away = Away()
    await world.flow().request(user)
    world.clock.go_on(GRACE)
    for tries in range(1, rules.MOST_FAREWELLS):
        await world.flow().turn()
        assert len(away.asked) == tries
        assert (await world.flow().erasure(user)).state is State.ERASING
        waits = "SELECT address FROM addresses WHERE user_id = %(user)s"
        assert await execute(world.url, waits, {"user": user}) == [(address_of(user),)]
        world.clock.go_on(rules.LONGEST_DELAY)
    await world.flow().turn()
    assert len(set(away.asked)) == 1, "it is one letter, however often it is tried"
    assert (await world.flow().erasure(user)).state is State.SETTLING
    await world.assert_gone(user)


async def test_planning_and_cancelling_are_each_told_once_however_often_they_are_asked(
    world: World,
) -> None:
    user = await register(world.url)
    flow = world.flow()
    planned = (await asyncio.gather(*(flow.request(user) for _ in range(10))))[0][0]
    await world.letters().deliver()
    await asyncio.gather(*(flow.cancel(user) for _ in range(10)))
    await world.letters().deliver()
    found = sorted((each["kind"], each["to"]) for each in world.mail())
    to = address_of(user)
    assert found == [("erasure_cancelled", to), ("erasure_planned", to)]
    until = {each["kind"]: each["details"] for each in world.mail()}["erasure_planned"]
    assert until == {"until": f"{planned.due_at:%Y-%m-%d}"}


async def test_two_processes_erase_once(world: World) -> None:
    user = await register(world.url)
    await world.flow().request(user)
    world.clock.go_on(GRACE)
    await asyncio.gather(*(world.flow().turn() for _ in range(4)))
    await world.assert_gone(user)
    assert (await world.finish(user)).state is State.DONE
    assert await world.events(user) == [("palestra.identity.v1.UserErased", 2)]


async def test_requests_at_once_plan_one_erasure_with_one_secret(world: World) -> None:
    user = await register(world.url)
    flow = world.flow()
    found = await asyncio.gather(*(flow.request(user) for _ in range(20)))
    assert len({(erasure.erasure_id, secret) for erasure, secret in found}) == 1
    assert found[0][1]
    with pytest.raises(rules.UserNotFound):
        await flow.request(uuid.uuid4())


async def test_who_thinks_again_in_time_stays_and_may_ask_again(world: World) -> None:
    user = await register(world.url)
    flow = world.flow()
    with pytest.raises(rules.ErasureNotFound):
        await flow.cancel(user)
    first, _ = await flow.request(user)
    assert {(await flow.cancel(user)).state for _ in range(2)} == {State.CANCELLED}
    world.clock.go_on(GRACE)
    await flow.turn()
    assert await execute(world.url, "SELECT 1 FROM accounts") == [(1,)]
    assert not world.stones.exists()
    second, _ = await flow.request(user)
    assert second.erasure_id != first.erasure_id
    world.clock.go_on(GRACE)
    await flow.turn()
    with pytest.raises(rules.ErasureBegun):
        await flow.cancel(user)


async def test_cancelled_at_the_last_instant_it_is_one_or_the_other(world: World) -> None:
    for _ in range(10):
        user = await register(world.url)
        flow = world.flow()
        await flow.request(user)
        world.clock.go_on(GRACE)
        due = await flow.erasure(user)
        begun, cancelled = await asyncio.gather(
            flow.step(due), flow.cancel(user), return_exceptions=True
        )
        if begun is True:
            assert isinstance(cancelled, rules.ErasureBegun)
        else:
            assert isinstance(cancelled, Erasure)
            assert cancelled.state is State.CANCELLED
            assert await world.events(user) == []
        await flow.turn()


async def test_a_service_that_is_away_is_waited_for_and_the_others_go_on(world: World) -> None:
    user = await register(world.url)
    await world.flow().request(user)
    world.clock.go_on(GRACE)
    world.peers.away.add("integration")
    await world.flow().turn()
    assert world.peers.erasures == {"training": 2}
    await world.assert_gone(user)
    assert (await world.flow().erasure(user)).state is State.ERASING
    world.peers.away.clear()
    world.clock.go_on(rules.LONGEST_DELAY)
    await world.flow().turn()
    assert (await world.flow().erasure(user)).state is State.SETTLING


async def test_nothing_is_deleted_before_the_tombstone_stands(world: World) -> None:
    user = await register(world.url)
    await world.flow().request(user)
    world.clock.go_on(GRACE)
    (world.folder / "blobs").write_text("no folder")
    await world.flow().turn()
    assert await execute(world.url, "SELECT 1 FROM accounts") == [(1,)]
    (world.folder / "blobs").unlink()
    world.clock.go_on(rules.LONGEST_DELAY)
    assert (await world.finish(user)).state is State.DONE
    await world.assert_gone(user)


async def test_a_service_that_forgot_is_told_again(world: World) -> None:
    user = await register(world.url)
    await world.flow().request(user)
    world.clock.go_on(GRACE)
    await world.finish(user)
    asked = dict(world.peers.erasures)
    await world.flow().reconcile()
    assert world.peers.erasures == asked
    world.peers.forgot["training"] = {user}
    await world.flow().reconcile()
    assert world.peers.erasures == {**asked, "training": asked["training"] + 1}
    assert world.peers.forgot == {"training": set()}
    world.peers.away.add("integration")
    with pytest.raises(Exception, match="away"):
        await world.flow().reconcile()


async def test_a_tombstone_says_nothing_to_whoever_finds_it_and_stops_a_start_where_unreadable(
    world: World,
) -> None:
    user = await register(world.url)
    await world.flow().request(user)
    world.clock.go_on(GRACE)
    await world.finish(user)
    stone = (world.stones / name_of(user)).read_bytes()
    assert user.bytes not in stone
    assert str(user).encode() not in stone
    await execute(world.url, "DELETE FROM erased_people")
    world.sealer = Sealer((make_key(),))
    with pytest.raises(Exception, match="no key that is known"):
        await world.flow().keep_erased()
