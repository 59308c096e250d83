"""Signing up and staying signed in when everything happens twice, or at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from mesh.runtime.clock import now
from mesh.runtime.sql import Statement
from mesh.runtime.tables import OUTBOX
from mesh.runtime.tokens import Verifier
from services.identity.auth import rules
from services.identity.auth.flow import AuthFlow
from services.identity.auth.passwords import Passwords
from services.identity.auth.store import AuthStore
from services.identity.keys.flow import KeyRing
from services.identity.keys.store import KeyStore
from services.identity.tables import ACCOUNTS, SESSIONS, SIGNING_KEYS
from tests.support.told_counters import Bus

EMAIL = "Athlete@Example.com"
PASSWORD = "a long enough secret"
_ACCOUNTS = Statement(select(func.count()).select_from(ACCOUNTS))
_KEYS = Statement(select(func.count()).select_from(SIGNING_KEYS))
_EVENTS = Statement(select(OUTBOX.c.type, OUTBOX.c.key, OUTBOX.c.key_version))
_ENDED = Statement(select(SESSIONS.c.ended_why).where(SESSIONS.c.ended_at.is_not(None)))


@dataclass
class Clock:
    """Time that goes on only when told."""

    at: datetime = field(default_factory=now)

    def __call__(self) -> datetime:
        return self.at

    def go_on(self, delta: timedelta) -> None:
        self.at += delta


@dataclass
class Identity:
    """Identity's sign-in on the real database, at a time of the test's own."""

    bus: Bus
    clock: Clock = field(default_factory=Clock)

    def flow(self) -> AuthFlow:
        """One worker's; a second call is a second worker."""
        return AuthFlow(
            store=AuthStore(self.bus.publisher),
            passwords=Passwords(),
            keys=KeyRing(KeyStore(self.bus.publisher), self.clock),
            scopes=frozenset({"profile.read"}),
            region=7,
            access_token_s=900,
            clock=self.clock,
        )

    async def count(self, statement: Statement) -> int:
        row = await self.bus.publisher.row(statement, {})
        assert row is not None
        return int(row[0])


@pytest_asyncio.fixture
async def identity(bus: Bus) -> AsyncIterator[Identity]:
    yield Identity(bus)


async def test_a_hundred_registrations_of_one_address_make_one_account(
    identity: Identity,
) -> None:
    workers = [identity.flow(), identity.flow()]
    done = await asyncio.gather(
        *(
            workers[number % 2].register(
                EMAIL.lower() if number % 3 else EMAIL, PASSWORD, f"Athlete {number}"
            )
            for number in range(100)
        )
    )
    assert len({each.user_id for each in done}) == 1
    assert len({each.refresh_token for each in done}) == 100
    assert await identity.count(_ACCOUNTS) == 1
    events = await identity.bus.publisher.rows(_EVENTS, {})
    assert events == [("palestra.identity.v1.UserRegistered", f"users/{done[0].user_id}", 1)]


async def test_a_repeat_with_the_same_password_signs_in_and_with_another_is_refused(
    identity: Identity,
) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    again = await flow.register(EMAIL.upper(), PASSWORD, "Another Name")
    assert again.user_id == first.user_id
    with pytest.raises(rules.EmailTaken):
        await flow.register(EMAIL, PASSWORD + "!", "Athlete")
    assert await identity.count(_ACCOUNTS) == 1
    assert len(await identity.bus.publisher.rows(_EVENTS, {})) == 1


@pytest.mark.parametrize(
    ("registered", "typed"),
    [
        ("Athlete@Example.com", "  athlete@EXAMPLE.com "),
        ("a\u030angstro\u0308m@example.com", "\u00e5ngstr\u00f6m@example.com"),
        ("\u00e5ngstr\u00f6m@example.com", "a\u030angstro\u0308m@example.com"),
        ("athlete@b\u00fccher.example", "athlete@xn--bcher-kva.example"),
    ],
)
async def test_the_address_signs_in_however_it_is_typed(
    identity: Identity, registered: str, typed: str
) -> None:
    flow = identity.flow()
    first = await flow.register(registered, PASSWORD, "Athlete")
    assert (await flow.login(typed, PASSWORD)).user_id == first.user_id


@pytest.mark.parametrize(
    ("email", "password"),
    [(EMAIL, "another secret"), ("nobody@example.com", PASSWORD), ("no address", PASSWORD)],
)
async def test_wrong_credentials_do_not_say_which_is_wrong(
    identity: Identity, email: str, password: str
) -> None:
    flow = identity.flow()
    await flow.register(EMAIL, PASSWORD, "Athlete")
    with pytest.raises(rules.CredentialsWrong) as refused:
        await flow.login(email, password)
    assert str(refused.value) == ""


async def test_fifty_refreshes_at_once_get_one_successor(identity: Identity) -> None:
    workers = [identity.flow(), identity.flow()]
    first = await workers[0].register(EMAIL, PASSWORD, "Athlete")
    done = await asyncio.gather(
        *(workers[number % 2].refresh(first.refresh_token) for number in range(50))
    )
    successors = {each.refresh_token for each in done}
    assert len(successors) == 1
    assert successors != {first.refresh_token}
    await workers[1].refresh(successors.pop())
    assert await identity.bus.publisher.rows(_ENDED, {}) == []


async def test_a_lost_answer_is_given_again_within_the_grace(identity: Identity) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    second = await flow.refresh(first.refresh_token)
    identity.clock.go_on(rules.RETRY_GRACE)
    again = await flow.refresh(first.refresh_token)
    assert again.refresh_token == second.refresh_token


async def test_a_token_reused_after_the_grace_ends_the_session_for_both(
    identity: Identity,
) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    second = await flow.refresh(first.refresh_token)
    identity.clock.go_on(rules.RETRY_GRACE + timedelta(seconds=1))
    with pytest.raises(rules.RefreshTokenReused):
        await flow.refresh(first.refresh_token)
    with pytest.raises(rules.RefreshTokenInvalid):
        await flow.refresh(second.refresh_token)
    assert await identity.bus.publisher.rows(_ENDED, {}) == [("refresh token reused",)]
    assert (await flow.login(EMAIL, PASSWORD)).user_id == first.user_id


async def test_signing_out_ends_the_session_and_can_be_repeated(identity: Identity) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    second = await flow.refresh(first.refresh_token)
    other = await flow.login(EMAIL, PASSWORD)
    await flow.logout(second.refresh_token)
    await flow.logout(second.refresh_token)
    await flow.logout("nonsense")
    with pytest.raises(rules.RefreshTokenInvalid):
        await flow.refresh(second.refresh_token)
    await flow.refresh(other.refresh_token)


@pytest.mark.parametrize(
    ("idle", "lives"),
    [
        (rules.LONGEST_IDLE, True),
        (rules.LONGEST_IDLE + timedelta(seconds=1), False),
        (rules.SESSION_LIFETIME, False),
    ],
)
async def test_a_session_lives_as_long_as_it_is_used(
    identity: Identity, idle: timedelta, lives: bool
) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    identity.clock.go_on(idle)
    if lives:
        await flow.refresh(first.refresh_token)
    else:
        with pytest.raises(rules.RefreshTokenInvalid):
            await flow.refresh(first.refresh_token)


async def test_each_workers_tokens_are_verified_by_every_other_from_the_first_start(
    identity: Identity,
) -> None:
    workers = [identity.flow() for _ in range(5)]
    done = await asyncio.gather(
        *(
            flow.register(f"athlete-{number}@example.com", PASSWORD, "Athlete")
            for number, flow in enumerate(workers)
        )
    )
    assert 1 <= await identity.count(_KEYS) <= len(workers)
    for reader in workers:
        fresh = KeyRing(reader.keys.store, identity.clock)
        verifier = Verifier(fresh.public_keys, lambda: identity.clock().timestamp())
        for each in done:
            assert (await verifier.verify(each.access_token)).id == each.user_id


async def test_tokens_outlive_the_turning_of_keys(identity: Identity) -> None:
    flow = identity.flow()
    ring = flow.keys
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    signed_by = (await ring.signer(identity.clock())).kid
    signer = signed_by
    for _ in range(24 * 7 + 2):
        identity.clock.go_on(timedelta(hours=1))
        await ring.turn()
        # Whoever signs now was published an hour before anybody needs to know it.
        signer = (await ring.signer(identity.clock())).kid
        published = {key.key_id: key for key in await ring.published()}
        age = identity.clock() - published[str(signer)].published_at
        assert age >= timedelta(hours=1)
    assert signer != signed_by
    assert len(await ring.published()) <= 2
    assert first.expires_in_s == 900
