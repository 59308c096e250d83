"""Signing up and staying signed in when everything happens twice, or at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import bindparam, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import BYTEA

from mesh.runtime.sealing import Sealer, make_key
from mesh.runtime.sql import Statement
from mesh.runtime.tables import OUTBOX
from mesh.runtime.tokens import Verifier
from services.identity.auth import rules
from services.identity.keys.flow import KeyRing
from services.identity.sessions import rules as chain
from services.identity.sessions.flow import SessionFlow, SignedIn
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.keys import SIGNING_KEYS
from services.identity.tables.revocations import STANDINGS
from services.identity.tables.sessions import SESSIONS
from tests.support.identity_people import EMAIL, PASSWORD, Clock, People
from tests.support.told_counters import Bus

_ACCOUNTS = Statement(select(func.count()).select_from(ACCOUNTS))
_KEYS = Statement(select(func.count()).select_from(SIGNING_KEYS))
_EVENTS = Statement(select(OUTBOX.c.type, OUTBOX.c.key, OUTBOX.c.key_version))
_AS_BEFORE = Statement(
    update(SESSIONS)
    .where(SESSIONS.c.session_id == bindparam("of"))
    .values(chain_key=bindparam("key", type_=BYTEA), token_hash=bindparam("hash", type_=BYTEA))
)
_BLOCK = Statement(
    insert(STANDINGS).values(
        user_id=bindparam("of"),
        generation=literal(1),
        blocked_at=bindparam("now"),
        blocked_until=bindparam("until"),
    )
)
_ENDED = Statement(select(SESSIONS.c.ended_why).where(SESSIONS.c.ended_at.is_not(None)))


@dataclass
class SignUp:
    """What of a worker these tests are about."""

    register: Callable[..., Awaitable[SignedIn]]
    login: Callable[..., Awaitable[SignedIn]]
    sessions: SessionFlow


@dataclass
class Identity:
    """Identity's sign-in on the real database, at a time of the test's own."""

    bus: Bus
    people: People

    @property
    def clock(self) -> Clock:
        return self.people.clock

    def flow(self) -> SignUp:
        """One worker's; a second call is a second worker."""
        worker = self.people.worker()
        return SignUp(worker.auth.register, worker.auth.login, worker.sessions)

    async def count(self, statement: Statement) -> int:
        row = await self.bus.publisher.row(statement, {})
        assert row is not None
        return int(row[0])


@pytest_asyncio.fixture
async def identity(bus: Bus, tmp_path: Path) -> AsyncIterator[Identity]:
    yield Identity(bus, People(bus, tmp_path))


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
        *(workers[number % 2].sessions.refresh(first.refresh_token) for number in range(50))
    )
    successors = {each.refresh_token for each in done}
    assert len(successors) == 1
    assert successors != {first.refresh_token}
    await workers[1].sessions.refresh(successors.pop())
    assert await identity.bus.publisher.rows(_ENDED, {}) == []


async def test_a_lost_answer_is_given_again_within_the_grace(identity: Identity) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    second = await flow.sessions.refresh(first.refresh_token)
    identity.clock.go_on(chain.RETRY_GRACE)
    again = await flow.sessions.refresh(first.refresh_token)
    assert again.refresh_token == second.refresh_token


async def test_a_token_reused_after_the_grace_ends_the_session_for_both(
    identity: Identity,
) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    second = await flow.sessions.refresh(first.refresh_token)
    identity.clock.go_on(chain.RETRY_GRACE + timedelta(seconds=1))
    with pytest.raises(chain.RefreshTokenReused):
        await flow.sessions.refresh(first.refresh_token)
    with pytest.raises(chain.RefreshTokenInvalid):
        await flow.sessions.refresh(second.refresh_token)
    assert await identity.bus.publisher.rows(_ENDED, {}) == [("refresh token reused",)]
    assert (await flow.login(EMAIL, PASSWORD)).user_id == first.user_id


async def _as_before(identity: Identity, signed_in: SignedIn) -> chain.RefreshToken:
    """Makes a session what it was before chains were derived; answers its token."""
    key, secret = os.urandom(32), os.urandom(32)
    token = chain.RefreshToken.make(signed_in.user_id, signed_in.session_id, secret, key)
    values = {"of": signed_in.session_id, "key": key, "hash": token.hash}
    assert await identity.bus.publisher.run(_AS_BEFORE, values) == 1
    return token


async def test_fifty_refreshes_of_a_session_of_before_get_one_successor(
    identity: Identity,
) -> None:
    workers = [identity.flow(), identity.flow()]
    token = await _as_before(identity, await workers[0].register(EMAIL, PASSWORD, "Athlete"))
    done = await asyncio.gather(
        *(workers[number % 2].sessions.refresh(token.text) for number in range(50))
    )
    assert len({each.refresh_token for each in done}) == 1
    second = await workers[0].sessions.refresh(done[0].refresh_token)
    with pytest.raises(chain.RefreshTokenReused):
        await workers[1].sessions.refresh(token.text)
    with pytest.raises(chain.RefreshTokenInvalid):
        await workers[1].sessions.refresh(second.refresh_token)


async def test_a_made_up_token_ends_no_session_of_either_kind(identity: Identity) -> None:
    flow = identity.flow()
    new = await flow.register(EMAIL, PASSWORD, "Athlete")
    other = await flow.login(EMAIL, PASSWORD)
    old = await _as_before(identity, other)
    for session in (new, other):
        made_up = chain.RefreshToken(session.user_id, session.session_id, b"s" * 32, b"t" * 16)
        with pytest.raises(chain.RefreshTokenInvalid):
            await flow.sessions.refresh(made_up.text)
        await flow.sessions.logout(made_up.text)
    await flow.sessions.refresh(new.refresh_token)
    await flow.sessions.refresh(old.text)


async def test_a_blocked_person_is_told_so_and_goes_on_when_it_is_over(
    identity: Identity,
) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    until = identity.clock() + timedelta(hours=1)
    values = {"of": first.user_id, "now": identity.clock(), "until": until}
    await identity.bus.publisher.run(_BLOCK, values)
    with pytest.raises(chain.AccountBlocked):
        await flow.sessions.refresh(first.refresh_token)
    identity.clock.go_on(timedelta(hours=1))
    await flow.sessions.refresh(first.refresh_token)


async def test_sessions_outlive_a_turn_of_the_deployments_key(identity: Identity) -> None:
    before = identity.flow()
    first = await before.register(EMAIL, PASSWORD, "Athlete")
    newer = make_key()
    identity.people.turn(newer)
    after = identity.flow()
    second = await after.sessions.refresh(first.refresh_token)
    assert (await after.sessions.refresh(first.refresh_token)).refresh_token == (
        second.refresh_token
    )
    # By now nothing is sealed by the key of before, so it may go.
    await after.sessions.keys.keeper.tend()
    identity.people.sealer = Sealer((newer,))
    await identity.flow().sessions.refresh(second.refresh_token)


async def test_signing_out_ends_the_session_and_can_be_repeated(identity: Identity) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    second = await flow.sessions.refresh(first.refresh_token)
    other = await flow.login(EMAIL, PASSWORD)
    await flow.sessions.logout(second.refresh_token)
    await flow.sessions.logout(second.refresh_token)
    await flow.sessions.logout("nonsense")
    with pytest.raises(chain.RefreshTokenInvalid):
        await flow.sessions.refresh(second.refresh_token)
    await flow.sessions.refresh(other.refresh_token)


async def test_a_later_proof_adds_to_the_sessions_and_makes_it_fresh(identity: Identity) -> None:
    flow = identity.flow()
    verifier = Verifier(flow.sessions.keys.public_keys, lambda: identity.clock().timestamp())
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    identity.clock.go_on(timedelta(minutes=20))
    await flow.sessions.proved(first.user_id, first.session_id, frozenset({"otp", "mfa"}))
    proved = int(identity.clock().timestamp())
    identity.clock.go_on(timedelta(minutes=5))
    second = await flow.sessions.refresh(first.refresh_token)
    user = await verifier.verify(second.access_token)
    assert (user.amr, user.auth_time_s) == (frozenset({"mfa", "otp", "pwd"}), proved)
    assert user.region == 7


async def test_nothing_is_added_to_a_session_of_what_others_proved(identity: Identity) -> None:
    flow = identity.flow()
    verifier = Verifier(flow.sessions.keys.public_keys, lambda: identity.clock().timestamp())
    mine = await flow.register(EMAIL, PASSWORD, "Athlete")
    theirs = await flow.register("other@example.com", PASSWORD, "Other")
    await flow.sessions.proved(theirs.user_id, theirs.session_id, frozenset({"otp", "mfa"}))
    again = await flow.login(EMAIL, PASSWORD)
    await flow.sessions.proved(again.user_id, again.session_id, frozenset({"hwk", "mfa"}))
    await flow.sessions.proved(mine.user_id, mine.session_id, frozenset({"pwd"}))
    user = await verifier.verify((await flow.sessions.refresh(mine.refresh_token)).access_token)
    assert user.amr == frozenset({"pwd"})


async def test_ending_all_sessions_leaves_the_one_that_asked_and_other_people(
    identity: Identity,
) -> None:
    flow = identity.flow()
    mine = [await flow.register(EMAIL, PASSWORD, "Athlete"), await flow.login(EMAIL, PASSWORD)]
    theirs = await flow.register("other@example.com", PASSWORD, "Other")
    await flow.sessions.end_all(mine[0].user_id, "the test says so", mine[1].session_id)
    with pytest.raises(chain.RefreshTokenInvalid):
        await flow.sessions.refresh(mine[0].refresh_token)
    await flow.sessions.refresh(mine[1].refresh_token)
    await flow.sessions.refresh(theirs.refresh_token)
    await flow.sessions.end_all(mine[0].user_id, "the test says so")
    with pytest.raises(chain.RefreshTokenInvalid):
        await flow.sessions.proved(mine[1].user_id, mine[1].session_id, frozenset({"pwd"}))


@pytest.mark.parametrize(
    ("idle", "lives"),
    [
        (chain.LONGEST_IDLE, True),
        (chain.LONGEST_IDLE + timedelta(seconds=1), False),
        (chain.SESSION_LIFETIME, False),
    ],
)
async def test_a_session_lives_as_long_as_it_is_used(
    identity: Identity, idle: timedelta, lives: bool
) -> None:
    flow = identity.flow()
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    identity.clock.go_on(idle)
    if lives:
        await flow.sessions.refresh(first.refresh_token)
    else:
        with pytest.raises(chain.RefreshTokenInvalid):
            await flow.sessions.refresh(first.refresh_token)


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
    # One that signs, and the next: whoever came second found them.
    assert await identity.count(_KEYS) == 2
    for reader in workers:
        fresh = KeyRing(reader.sessions.keys.keeper)
        verifier = Verifier(fresh.public_keys, lambda: identity.clock().timestamp())
        for each in done:
            assert (await verifier.verify(each.access_token)).id == each.user_id


async def test_tokens_outlive_the_turning_of_keys(identity: Identity) -> None:
    flow = identity.flow()
    ring = flow.sessions.keys
    first = await flow.register(EMAIL, PASSWORD, "Athlete")
    signed_by = (await ring.signer(identity.clock())).kid
    signer = signed_by
    known: set[str] = set()
    for _ in range(24 * 7 + 2):
        known = {key.key_id for key in await ring.published()}
        identity.clock.go_on(timedelta(hours=1))
        await ring.keeper.tend()
        # Whoever signs now was published an hour before anybody needs to know it.
        signer = (await ring.signer(identity.clock())).kid
        assert signer in known
    assert signer != signed_by
    # The first one's tokens are over; the one that signs and the next are left.
    assert len(known) == 2
    assert signed_by not in {key.key_id for key in await ring.keeper.store.keys()}
    assert first.expires_in_s == 900
