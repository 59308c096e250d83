"""Signing keys in the real database: sealed, turned and withdrawn, by two at once, or killed."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.runtime import migrate
from mesh.runtime.clock import now
from mesh.runtime.errors import MeshError
from mesh.runtime.revocations import Revocation, Revocations
from mesh.runtime.sealing import SealBroken, Sealer, make_key
from mesh.runtime.sql import Database
from mesh.runtime.tokens import Verifier
from services.identity.keys import keeper, rules
from services.identity.keys.flow import KeyRing
from services.identity.keys.rules import KeysTooMany, KeyUnknown
from services.identity.revocations.store import RevocationStore
from tests.support.identity_people import Clock
from tests.support.made_tokens import Signer
from tests.support.signing_keys import ring_of
from tests.support.stores import Stores
from tests.support.told_counters import PUBLISHER, Bus

MIGRATIONS = Path("services/identity/migrations").resolve()
USER = uuid.uuid4()


@dataclass
class Identity:
    """Processes of identity that share a database, a file of seals and a clock."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    sealer: Sealer = field(default_factory=lambda: Sealer((make_key(),)))

    def ring(self) -> KeyRing:
        """One process's; a second call is a second process."""
        return ring_of(self.database, self.clock, self.sealer)

    async def rows(self) -> list[dict[str, Any]]:
        """What whoever has the database has of the keys."""
        async with await psycopg.AsyncConnection.connect(self.database.url) as connection:
            cursor = await connection.execute("SELECT * FROM signing_keys ORDER BY signs_at")
            names = [each.name for each in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def revoked(self) -> Revocations:
        """What every process hears is not believed."""
        heard = Revocations(lambda: self.clock().timestamp())
        heard.replace(await RevocationStore(self.database, "identity").all(self.clock()))
        return heard


@pytest.fixture
def identity(bus: Bus) -> Identity:
    return Identity(bus.publisher)


async def signed(ring: KeyRing, clock: Clock) -> str:
    """A token by whichever key signs now."""
    key = await ring.signer(clock())
    private = Ed25519PrivateKey.from_private_bytes(
        ring.keeper.sealer.open(
            next(each.secret for each in await ring.keys() if each.key_id == key.kid),
            keeper.place(str(key.kid)),
        )
    )
    return Signer(str(key.kid), private).token(USER)


def verifier(ring: KeyRing, clock: Clock, revocations: Revocations | None = None) -> Verifier:
    return Verifier(ring.public_keys, lambda: clock().timestamp(), revocations)


async def refusal(made: Verifier, token: str) -> str:
    with pytest.raises(MeshError) as refused:
        await made.verify(token)
    return refused.value.reason


async def test_no_row_holds_a_key_that_signs(identity: Identity) -> None:
    ring = identity.ring()
    await ring.signer(identity.clock())
    rows = await identity.rows()
    assert len(rows) == 2
    for row in rows:
        seed = identity.sealer.open(row["sealed"], keeper.place(row["key_id"]))
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        assert public == row["public_key"]
        assert row["private_key"] is None
        assert seed not in row["sealed"]
    # What was sealed for one row does not open in another.
    with pytest.raises(SealBroken):
        identity.sealer.open(rows[0]["sealed"], keeper.place(rows[1]["key_id"]))


class Before:
    """A database as the version before left it, with a key that signed a token."""

    def __init__(self, stores: Stores, folder: Path) -> None:
        self.url = stores.database_url(PUBLISHER)
        versions = folder / "versions"
        versions.mkdir()
        for path in sorted((MIGRATIONS / "versions").glob("*_*.py")):
            if path.name.endswith("_sealed_keys.py"):
                break
            shutil.copy(path, versions)
        migrate.migrate(self.url, folder)
        self.signer = Signer("01a1fe35-0000-7000-8000-00000000000a")
        self.seed = self.signer.private.private_bytes_raw()
        self.token = self.signer.token(USER)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO signing_keys (key_id, private_key, public_key, published_at)"
                " VALUES (%s, %s, %s, %s)",
                (self.signer.key_id, self.seed, self.signer.public.raw, now() - timedelta(days=3)),
            )
        migrate.migrate(self.url, MIGRATIONS)


@pytest.fixture
def before(stores: Stores, tmp_path: Path) -> Before:
    return Before(stores, tmp_path)


async def _opened(before: Before) -> Identity:
    database = Database(before.url)
    await database.open()
    return Identity(database)


async def test_a_key_of_the_version_before_is_sealed_and_nobody_is_signed_out(
    before: Before,
) -> None:
    identity = await _opened(before)
    rings = [identity.ring() for _ in range(5)]
    # Five processes read it at the same instant.
    signers = await asyncio.gather(*(ring.signer(identity.clock()) for ring in rings))
    assert {key.kid for key in signers} == {before.signer.key_id}
    for ring in rings:
        user = await verifier(ring, identity.clock).verify(before.token)
        assert user.id == USER
        again = await verifier(ring, identity.clock).verify(await signed(ring, identity.clock))
        assert again.id == USER
    (row,) = await identity.rows()
    assert row["private_key"] is None
    assert identity.sealer.open(row["sealed"], keeper.place(row["key_id"])) == before.seed
    assert not any(before.seed in value for value in row.values() if isinstance(value, bytes))
    # It lay open, in backups too: the next one follows soon, and its tokens live on meanwhile.
    await rings[0].keeper.tend()
    identity.clock.go_on(rules.Schedule().ahead)
    following = await rings[1].signer(identity.clock())
    assert following.kid != before.signer.key_id
    assert before.signer.key_id in {key.key_id for key in await rings[1].published()}
    await identity.database.close()


async def test_a_process_killed_while_it_seals_loses_nothing(before: Before) -> None:
    identity = await _opened(before)
    pid: list[int] = []

    def killed(key_id: str, secret: bytes) -> bytes:
        # Its connection is gone before it could write.
        with psycopg.connect(before.url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'palestra' AND usename = current_user"
            )
        pid.append(1)
        return identity.sealer.seal(secret, keeper.place(key_id))

    first = identity.ring()
    first.keeper.store._seal = killed
    with pytest.raises(MeshError):
        await first.signer(identity.clock())
    assert pid
    (row,) = await identity.rows()
    assert (bytes(row["private_key"]), row["sealed"]) == (before.seed, None)
    second = identity.ring()
    assert (await second.signer(identity.clock())).kid == before.signer.key_id
    (row,) = await identity.rows()
    assert row["private_key"] is None
    await identity.database.close()


async def test_a_withdrawn_key_is_refused_its_half_destroyed_and_the_next_signs(
    identity: Identity,
) -> None:
    ring, other = identity.ring(), identity.ring()
    token = await signed(ring, identity.clock)
    known = verifier(other, identity.clock)
    await known.verify(token)
    first = str((await other.signer(identity.clock())).kid)
    identity.clock.go_on(timedelta(minutes=1))
    await ring.keeper.withdraw([first], "vera", "it leaked")
    row = next(each for each in await identity.rows() if each["key_id"] == first)
    assert (row["sealed"], row["private_key"]) == (None, None)
    assert (row["withdrawn_by"], row["withdrawn_why"]) == ("vera", "it leaked")
    # As the feed has it: who verified the token before refuses it now.
    known.revocations = await identity.revoked()
    assert await refusal(known, token) == "TOKEN_REVOKED"
    # Another process signs by the next one as soon as it has heard.
    other.heard([Revocation(0, 0, key_id=first)])
    assert (await other.signer(identity.clock())).kid != first
    assert first not in {key.key_id for key in await other.published()}
    fresh = verifier(other, identity.clock, await identity.revoked())
    assert await refusal(fresh, token) == "TOKEN_INVALID"
    assert (await fresh.verify(await signed(other, identity.clock))).id == USER


async def test_a_revoked_key_outlives_every_token_that_a_thief_could_make(
    identity: Identity,
) -> None:
    ring = identity.ring()
    first = str((await ring.signer(identity.clock())).kid)
    await ring.keeper.withdraw([first], "vera", "it leaked")
    identity.clock.go_on(rules.REMEMBERED - timedelta(minutes=1))
    assert first in {each.key_id for each in (await identity.revoked()).everything()}


async def test_withdrawals_at_the_same_instant_have_one_effect(identity: Identity) -> None:
    rings = [identity.ring() for _ in range(10)]
    first = str((await rings[0].signer(identity.clock())).kid)
    await asyncio.gather(
        *(ring.keeper.withdraw([first], f"by {n}", "it leaked") for n, ring in enumerate(rings))
    )
    rows = await identity.rows()
    assert len(rows) == 3
    assert [row["key_id"] for row in rows if row["withdrawn_at"]] == [first]


async def test_turns_and_the_clock_at_the_same_instant_make_one_next_key(
    identity: Identity,
) -> None:
    rings = [identity.ring() for _ in range(10)]
    await asyncio.gather(
        *(ring.keeper.turn(at_once=False) for ring in rings),
        *(ring.keeper.tend() for ring in rings),
    )
    rows = await identity.rows()
    # The one that signs, the one turned to, the one after it.
    assert len(rows) <= 3
    assert len({row["signs_at"] for row in rows}) == len(rows)


async def test_with_every_key_withdrawn_the_next_token_is_of_a_key_that_the_edge_can_know(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)

    ring = identity.ring()
    await ring.signer(identity.clock())
    before = {row["key_id"] for row in await identity.rows()}
    found = await ring.keeper.withdraw([], "vera", "the database was stolen")
    monkeypatch.setattr("services.identity.keys.flow.asyncio.sleep", sleep)
    identity.clock.go_on(timedelta(milliseconds=1))
    ring.heard([Revocation(0, 0, key_id="any")])
    signer = await ring.signer(identity.clock())
    assert signer.kid not in before
    assert slept == [pytest.approx(rules.LEAD.total_seconds(), abs=0.1)]
    assert {key.key_id for key in found if key.withdrawn_at} == before


async def test_who_asks_for_what_is_not_there_or_too_often_changes_nothing(
    identity: Identity,
) -> None:
    ring = identity.ring()
    await ring.signer(identity.clock())
    before = await identity.rows()
    with pytest.raises(KeyUnknown):
        await ring.keeper.withdraw(["nobody's"], "vera", "a slip")
    assert await identity.rows() == before
    while len(list(await ring.published())) < rules.MOST_PUBLISHED:
        await ring.keeper.turn(at_once=True)
        identity.clock.go_on(rules.LEAD)
    with pytest.raises(KeysTooMany):
        await ring.keeper.turn(at_once=True)


async def test_keys_are_sealed_anew_when_the_keys_that_seal_were_turned(
    identity: Identity,
) -> None:
    older, newer = make_key(), make_key()
    identity.sealer = Sealer((older,))
    before = await identity.ring().signer(identity.clock())
    identity.sealer = Sealer((newer, older))
    ring = identity.ring()
    await ring.keeper.tend()
    # The older one is gone from the file now, and is not missed.
    identity.sealer = Sealer((newer,))
    assert (await identity.ring().signer(identity.clock())).kid == before.kid
    for row in await identity.rows():
        assert not identity.sealer.is_stale(row["sealed"])


async def test_a_lost_seal_is_told_and_another_key_can_be_made_to_sign(
    identity: Identity,
) -> None:
    ring = identity.ring()
    await ring.signer(identity.clock())
    identity.sealer = Sealer((make_key(),))
    fresh = identity.ring()
    with pytest.raises(SealBroken):
        await fresh.signer(identity.clock())
    # Tending it does not end the process.
    await fresh.keeper.tend()
    await fresh.keeper.withdraw([], "vera", "the seals are lost")
    identity.clock.go_on(rules.LEAD)
    assert (await fresh.signer(identity.clock())).kid
