"""Roles and blocks when everything happens twice, at once, late, or after the power is gone."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import bindparam, func, select, update

from mesh.runtime.calls import User
from mesh.runtime.ids import uuid7
from mesh.runtime.sealing import make_key
from mesh.runtime.sql import Statement
from mesh.runtime.tokens import Verifier
from services.identity.blocks.rules import BlockOfOneself, StaffProtected
from services.identity.blocks.subjects import SUBJECTS as OF_BLOCKS
from services.identity.factors.rules import RESET_WAIT
from services.identity.profiles.rules import UserNotFound
from services.identity.roles import rules
from services.identity.roles.flow import BEGINNING
from services.identity.roles.rules import ADMINISTRATOR, OPERATOR, Ending, Grant, Wanted
from services.identity.roles.subjects import SUBJECTS as OF_ROLES
from services.identity.sessions.flow import SignedIn
from services.identity.sessions.rules import AccountBlocked, RefreshTokenInvalid
from services.identity.tables.factors import SECOND_FACTORS
from services.identity.tables.revocations import REVOCATIONS, STANDINGS
from services.identity.tables.roles import BLOCKS, ROLE_GRANTS
from services.identity.tables.sessions import SESSIONS
from tests.support.authenticator import Authenticator
from tests.support.identity_people import PASSWORD, People, Worker
from tests.support.stores import Stores
from tests.support.told_counters import Bus

AT_ONCE = 20
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
BY_TWO = frozenset({"pwd", "mfa"})
pytestmark = pytest.mark.asyncio(loop_scope="module")
_of: Any = bindparam("of_user")
_GENERATION = Statement(
    select(func.coalesce(func.max(STANDINGS.c.generation), 0)).where(STANDINGS.c.user_id == _of)
)
_STANDING_HELD = Statement(
    select(STANDINGS.c.generation).where(STANDINGS.c.user_id == _of).with_for_update()
)
_REVOKED = Statement(
    select(func.coalesce(func.max(REVOCATIONS.c.generation), 0)).where(
        REVOCATIONS.c.user_id == _of, REVOCATIONS.c.subject == "generation"
    )
)
_LIVING = Statement(
    select(func.count()).where(SESSIONS.c.user_id == _of, SESSIONS.c.ended_at.is_(None))
)
_GRANTS = Statement(select(func.count()).where(ROLE_GRANTS.c.user_id == _of))
_BLOCKS = Statement(select(func.count()).where(BLOCKS.c.user_id == _of))
_FACTOR_GONE = Statement(
    update(SECOND_FACTORS).where(SECOND_FACTORS.c.user_id == _of).values(passkeys=0)
)
_NOBODY_ELSE = Statement(
    update(ROLE_GRANTS)
    .where(ROLE_GRANTS.c.ended_at.is_(None))
    .values(ended_at=bindparam("now"), ended_how=1)
)


@dataclass
class Office:
    """Staff and others, and two processes that they come to."""

    people: People
    workers: tuple[Worker, Worker]
    number: Any

    @property
    def worker(self) -> Worker:
        return self.workers[0]

    async def person(self) -> SignedIn:
        """Somebody new, with a passkey."""
        email = f"person{next(self.number)}@example.com"
        done = await self.worker.auth.register(email, PASSWORD, "Somebody")
        made = Authenticator()
        offer = await self.worker.factors.start_passkey(done.user_id, "x")
        credential = made.create(offer.options)
        await self.worker.factors.create_passkey(done.user_id, offer.token, credential, "Key")
        return done

    async def staff(self, *roles: str) -> uuid.UUID:
        """Somebody new with roles."""
        done = await self.person()
        for each in roles:
            await self.grant(OPERATOR, done.user_id, each)
        return done.user_id

    async def grant(
        self,
        by: uuid.UUID,
        user: uuid.UUID,
        role: str = "support",
        *,
        grant_id: uuid.UUID | None = None,
        lasting: timedelta = DAY,
        worker: int = 0,
    ) -> Grant:
        wanted = Wanted(role, "helps", self.people.clock() + lasting)
        flow = self.workers[worker].roles
        return await flow.grant(by, user, grant_id or uuid7(), wanted)

    async def living(self, user: uuid.UUID) -> list[Grant]:
        found, _ = await self.worker.roles.grants(user, "", BEGINNING, 200, ended=False)
        return found

    async def all(self, user: uuid.UUID) -> list[Grant]:
        found, _ = await self.worker.roles.grants(user, "", BEGINNING, 200, ended=True)
        return found

    async def user(self, token: str) -> User:
        verifier = Verifier(
            self.worker.sessions.keys.public_keys, lambda: self.people.clock().timestamp()
        )
        return await verifier.verify(token)

    async def count(self, statement: Statement, user: uuid.UUID) -> int:
        return await self.people.count(statement, of_user=user)

    async def run(self, statement: Statement, **values: Any) -> None:
        await self.people.bus.publisher.run(statement, values)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(running_stores: Stores) -> AsyncIterator[Bus]:
    """One database for all: each test has people of its own."""
    made = Bus(running_stores)
    await made.renew()
    yield made
    await made.close()


_numbers = count()
# The signing keys of the one database are sealed by it.
_KEY = make_key()


@pytest.fixture
def office(shared: Bus, tmp_path: Path) -> Office:
    people = People(shared, tmp_path / "mail", key=_KEY)
    return Office(people, (people.worker(), people.worker()), _numbers)


async def outcomes(calls: list[Awaitable[Any]]) -> Counter[str]:
    """How many ended how."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    return Counter(type(each).__name__ for each in done)


async def test_grants_at_once_leave_one_that_lives(office: Office) -> None:
    admin = await office.staff(ADMINISTRATOR)
    person = (await office.person()).user_id
    await asyncio.gather(
        *(office.grant(admin, person, worker=number % 2) for number in range(AT_ONCE))
    )
    assert len(await office.living(person)) == 1
    ended = [each for each in await office.all(person) if each.ended_at]
    assert {each.ended_how for each in ended} == {Ending.REPLACED}
    assert len(ended) == AT_ONCE - 1
    assert await office.count(_GENERATION, person) == AT_ONCE


async def test_a_repeated_grant_has_the_effect_of_one(office: Office) -> None:
    admin = await office.staff(ADMINISTRATOR)
    person, grant_id = (await office.person()).user_id, uuid7()
    done = await asyncio.gather(
        *(office.grant(admin, person, grant_id=grant_id, worker=i % 2) for i in range(AT_ONCE))
    )
    assert len({each.granted_at for each in done}) == 1
    assert len(await office.all(person)) == await office.count(_GENERATION, person) == 1
    with pytest.raises(rules.RequestIdReused):
        await office.grant(admin, person, "coach", grant_id=grant_id)


async def test_a_grant_that_is_delivered_again_revives_nothing(office: Office) -> None:
    admin = await office.staff(ADMINISTRATOR)
    person = (await office.person()).user_id
    made = await office.grant(admin, person)
    await office.worker.roles.revoke(admin, person, made.grant_id, "no longer")
    late = await office.grant(admin, person, grant_id=made.grant_id)
    assert (late.ended_how, late.ended_why) == (Ending.REVOKED, "no longer")
    assert await office.living(person) == []


async def test_a_revoke_beside_a_new_grant_leaves_what_its_answers_say(office: Office) -> None:
    admin = await office.staff(ADMINISTRATOR)
    person = (await office.person()).user_id
    for _ in range(5):
        made = await office.grant(admin, person)
        done = await asyncio.gather(
            office.workers[0].roles.revoke(admin, person, made.grant_id, "no longer"),
            office.grant(admin, person, worker=1),
            return_exceptions=True,
        )
        # Whichever was first: the new grant lives, and the revoke was told the truth.
        (living,) = await office.living(person)
        assert living.grant_id == getattr(done[1], "grant_id", None)
        revoked = done[0]
        if isinstance(revoked, BaseException):
            assert isinstance(revoked, rules.RoleGrantReplaced)
        else:
            assert revoked.ended_how is Ending.REVOKED


async def test_a_revoke_repeats_and_finds_what_has_ended(office: Office) -> None:
    admin = await office.staff(ADMINISTRATOR)
    person = (await office.person()).user_id
    made = await office.grant(admin, person)
    revoke = office.worker.roles.revoke
    done = await asyncio.gather(
        *(revoke(admin, person, made.grant_id, f"why {i}") for i in range(AT_ONCE))
    )
    assert len({each.ended_why for each in done}) == 1
    assert await office.count(_GENERATION, person) == 2
    with pytest.raises(rules.RoleGrantNotFound):
        await revoke(admin, person, uuid7(), "why")
    with pytest.raises(rules.RoleGrantNotFound):
        await revoke(admin, uuid7(), made.grant_id, "why")


async def test_two_administrators_who_remove_each_other_leave_one(office: Office) -> None:
    await office.run(_NOBODY_ELSE, now=office.people.clock())
    first, second = [(await office.person()).user_id for _ in range(2)]
    for _ in range(5):
        grants = [await office.grant(OPERATOR, each, ADMINISTRATOR) for each in (first, second)]
        ended = await outcomes(
            [
                office.workers[0].roles.revoke(first, second, grants[1].grant_id, "out"),
                office.workers[1].roles.revoke(second, first, grants[0].grant_id, "out"),
            ]
        )
        assert ended == {"Grant": 1, "RoleLost": 1}
        left = [each for user in (first, second) for each in await office.living(user)]
        assert len(left) == 1
        # Nor does he go himself, nor is he taken away by command, or kept out.
        (last,) = left
        for by in (last.user_id, OPERATOR):
            with pytest.raises(rules.LastAdministrator):
                await office.worker.roles.revoke(by, last.user_id, last.grant_id, "out")


async def test_two_administrators_who_block_each_other_leave_one(office: Office) -> None:
    await office.run(_NOBODY_ELSE, now=office.people.clock())
    first, second = [await office.staff(ADMINISTRATOR) for _ in range(2)]
    ended = await outcomes(
        [
            office.workers[0].blocks.block(first, second, "out", None),
            office.workers[1].blocks.block(second, first, "out", None),
        ]
    )
    assert ended == {"Standing": 1, "RoleLost": 1}


async def test_who_is_blocked_or_over_is_no_administrator_that_stays(office: Office) -> None:
    await office.run(_NOBODY_ELSE, now=office.people.clock())
    last, blocked = await office.staff(ADMINISTRATOR), await office.staff(ADMINISTRATOR)
    over = (await office.person()).user_id
    await office.grant(OPERATOR, over, ADMINISTRATOR, lasting=MINUTE)
    await office.worker.blocks.block(last, blocked, "out", None)
    office.people.clock.go_on(MINUTE)
    (grant,) = await office.living(last)
    with pytest.raises(rules.LastAdministrator):
        await office.worker.roles.revoke(last, last, grant.grant_id, "tired")
    with pytest.raises(rules.RoleLost):
        await office.grant(over, blocked)
    with pytest.raises(rules.RoleLost):
        await office.grant(blocked, over)


async def test_nobody_grants_himself_a_role_or_what_he_may_not(office: Office) -> None:
    admin, support = await office.staff(ADMINISTRATOR), await office.staff("support")
    person = (await office.person()).user_id
    with pytest.raises(rules.RoleForOneself):
        await office.grant(admin, admin, "coach")
    for by in (support, person, uuid7()):
        with pytest.raises(rules.RoleLost):
            await office.grant(by, (await office.person()).user_id)
    with pytest.raises(UserNotFound):
        await office.grant(admin, uuid7())
    assert await office.living(person) == []


async def test_a_token_says_roles_only_where_a_second_factor_proved_it(office: Office) -> None:
    person = await office.staff("support", "coach")
    open_ = office.worker.sessions.open
    by_two = await open_(person, amr=BY_TWO)
    by_one = await open_(person, amr=frozenset({"pwd"}))
    by_shop = await open_(person, amr=frozenset({"fed"}))
    app = await open_(person, amr=BY_TWO, client_id=str(uuid7()), scopes=frozenset({"a.read"}))
    assert (await office.user(by_two.access_token)).roles == {"support", "coach"}
    for each in (by_one, by_shop, app):
        assert (await office.user(each.access_token)).roles == set()
    assert (by_two.wants_factor, by_one.wants_factor, by_shop.wants_factor) == (False, True, True)
    renewed = await office.worker.sessions.refresh(by_one.refresh_token)
    assert (await office.user(renewed.access_token)).roles == set()
    # Confirming by the factor puts the roles to work, in the same session.
    await office.worker.sessions.proved(person, by_one.session_id, frozenset({"otp", "mfa"}))
    token, _ = await office.worker.sessions.access_token(person, by_one.session_id)
    assert (await office.user(token)).roles == {"support", "coach"}
    # Without a factor that is left the sign-in of before says nothing.
    await office.run(_FACTOR_GONE, of_user=person)
    renewed = await office.worker.sessions.refresh(by_two.refresh_token)
    assert (await office.user(renewed.access_token)).roles == set()
    assert renewed.wants_factor


async def test_a_token_never_outlives_the_role_that_it_says(office: Office) -> None:
    person = await office.staff("support")
    await office.grant(OPERATOR, person, "analyst", lasting=100 * timedelta(seconds=1))
    done = await office.worker.sessions.open(person, amr=BY_TWO)
    user = await office.user(done.access_token)
    assert user.roles == {"support", "analyst"}
    assert user.expire_time_s <= (office.people.clock() + timedelta(seconds=100)).timestamp()
    assert 98 <= done.expires_in_s <= 100
    office.people.clock.go_on(timedelta(seconds=101))
    # Whether or not somebody has written down that it is over.
    later = await office.worker.sessions.refresh(done.refresh_token)
    assert (await office.user(later.access_token)).roles == {"support"}
    assert later.expires_in_s == 900


async def test_a_grant_a_revoke_and_an_expiry_each_raise_the_generation(office: Office) -> None:
    admin, person = await office.staff(ADMINISTRATOR), (await office.person()).user_id

    async def raised(to: int) -> None:
        assert await office.count(_GENERATION, person) == to
        assert await office.count(_REVOKED, person) == to
        done = await office.worker.sessions.open(person, amr=BY_TWO)
        assert (await office.user(done.access_token)).generation == to

    await raised(0)
    made = await office.grant(admin, person)
    await raised(1)
    await office.worker.roles.revoke(admin, person, made.grant_id, "no longer")
    await raised(2)
    await office.grant(admin, person, "coach", lasting=MINUTE)
    await office.grant(admin, person, "analyst", lasting=MINUTE)
    await raised(4)
    office.people.clock.go_on(MINUTE)
    # Both that are over at once, by whichever process comes first.
    for each in office.workers:
        await each.roles.expire()
        await raised(5)
    assert {each.ended_how for each in await office.all(person)} == {
        Ending.REVOKED,
        Ending.EXPIRED,
    }


async def test_who_has_an_expired_grant_is_granted_anew(office: Office) -> None:
    admin, person = await office.staff(ADMINISTRATOR), (await office.person()).user_id
    await office.grant(admin, person, lasting=MINUTE)
    office.people.clock.go_on(MINUTE)
    assert await office.living(person) == []
    new = await office.grant(admin, person)
    assert await office.living(person) == [new]
    told = {each.grant_id: each.ended_how for each in await office.all(person)}
    assert sorted(told.values()) == [Ending.LIVES, Ending.EXPIRED]


async def test_ended_grants_of_a_person_are_bounded(office: Office) -> None:
    admin, person = await office.staff(ADMINISTRATOR), (await office.person()).user_id
    for _ in range(rules.MOST_ENDED_KEPT + 5):
        await office.grant(admin, person)
    assert await office.count(_GRANTS, person) == rules.MOST_ENDED_KEPT + 1


async def test_pages_of_everybodys_grants_miss_nobody(office: Office) -> None:
    await office.run(_NOBODY_ELSE, now=office.people.clock())
    people = [await office.staff("marketer") for _ in range(5)]
    before, seen = BEGINNING, []
    while True:
        found, more = await office.worker.roles.grants(None, "marketer", before, 2, ended=False)
        seen += [each.user_id for each in found]
        if not more:
            break
        before = found[-1].granted_at, found[-1].grant_id
    assert seen == people[::-1]
    with pytest.raises(rules.RoleUnknown):
        await office.worker.roles.grants(None, "king", BEGINNING, 2, ended=False)


async def test_a_block_ends_everything_and_nobody_comes_in(office: Office) -> None:
    moderator, done = await office.staff("moderator"), await office.person()
    sessions, person = office.worker.sessions, done.user_id
    await sessions.open(person, amr=BY_TWO)
    standing = await office.worker.blocks.block(moderator, person, "shouts", None)
    assert standing.is_blocked
    assert await office.count(_LIVING, person) == 0
    assert await office.count(_REVOKED, person) == 1
    with pytest.raises(AccountBlocked):
        await sessions.open(person, amr=BY_TWO)
    app = str(uuid7())
    with pytest.raises(AccountBlocked):
        await sessions.open(person, amr=BY_TWO, client_id=app, scopes=frozenset({"a.read"}))
    with pytest.raises(RefreshTokenInvalid):
        await sessions.refresh(done.refresh_token)
    freed = await office.worker.blocks.unblock(moderator, person, "quiet")
    assert not freed.is_blocked
    assert freed.blocks[0].lifted_why == "quiet"
    with pytest.raises(RefreshTokenInvalid):
        await sessions.refresh(done.refresh_token)
    again = await sessions.open(person, amr=BY_TWO)
    assert (await office.user(again.access_token)).generation == 1


async def test_a_block_repeats_and_another_takes_its_place(office: Office) -> None:
    moderator, person = await office.staff("moderator"), (await office.person()).user_id
    block = office.worker.blocks.block
    await asyncio.gather(*(block(moderator, person, "shouts", None) for _ in range(AT_ONCE)))
    assert await office.count(_BLOCKS, person) == await office.count(_GENERATION, person) == 1
    ends = office.people.clock() + MINUTE
    standing = await block(moderator, person, "shouts", ends)
    assert [each.lifted_at is None for each in standing.blocks] == [True, False]
    office.people.clock.go_on(MINUTE)
    assert not (await office.worker.blocks.standing(person)).is_blocked
    await office.worker.sessions.open(person, amr=BY_TWO)
    # What was over by itself was lifted by nobody.
    again = await block(moderator, person, "shouts again", None)
    assert (again.blocks[1].lifted_at, again.blocks[1].lifted_by) == (ends, None)


async def test_who_may_not_block_blocks_nobody(office: Office) -> None:
    admin, moderator = await office.staff(ADMINISTRATOR), await office.staff("moderator")
    person = (await office.person()).user_id
    blocks = office.worker.blocks
    with pytest.raises(BlockOfOneself):
        await blocks.block(moderator, moderator, "me", None)
    with pytest.raises(StaffProtected):
        await blocks.block(moderator, admin, "him", None)
    for by in (person, await office.staff("coach")):
        with pytest.raises(rules.RoleLost):
            await blocks.block(by, moderator, "him", None)
    with pytest.raises(UserNotFound):
        await blocks.block(moderator, uuid7(), "nobody", None)
    other = await office.staff(ADMINISTRATOR)
    await blocks.block(admin, other, "him", None)
    with pytest.raises(StaffProtected):
        await blocks.unblock(moderator, other, "friend")


async def test_sessions_that_open_beside_a_block_do_not_outlive_it(office: Office) -> None:
    moderator, person = await office.staff("moderator"), (await office.person()).user_id
    opening = [office.workers[i % 2].sessions.open(person, amr=BY_TWO) for i in range(AT_ONCE)]
    block = office.worker.blocks.block(moderator, person, "shouts", None)
    await asyncio.gather(block, *opening, return_exceptions=True)
    await office.worker.blocks.settle()
    assert await office.count(_LIVING, person) == 0


@pytest.mark.parametrize("what", ["grant", "block"])
async def test_killed_in_the_middle_nothing_or_all_has_happened(office: Office, what: str) -> None:
    admin, person = await office.staff(ADMINISTRATOR), (await office.person()).user_id
    bus = office.people.bus
    # The last statement of each waits for this row, so that there is a middle.
    with psycopg.connect(bus.publisher.url) as holding:
        holding.execute(
            "INSERT INTO revocations VALUES (%s, 'generation', 0, now(), now())", [person]
        )
        doing = asyncio.create_task(
            office.grant(admin, person)
            if what == "grant"
            else office.worker.blocks.block(admin, person, "shouts", None)
        )
        with psycopg.connect(bus.publisher.url, autocommit=True) as looking:
            while not (waiting := _waiting(looking)):
                assert not doing.done()
                await asyncio.sleep(0.01)
            looking.execute("SELECT pg_terminate_backend(%s)", [waiting])
        (failed,) = await asyncio.gather(doing, return_exceptions=True)
        assert isinstance(failed, Exception)
        holding.rollback()
    assert await office.living(person) == []
    assert await office.count(_GENERATION, person) == 0
    assert await office.count(_BLOCKS, person) == 0
    assert await office.count(_LIVING, person) == 1
    # The lock went with it, and the repeat does it.
    await office.grant(admin, person)
    await office.worker.blocks.block(admin, person, "shouts", None)


def _waiting(looking: psycopg.Connection[tuple[Any, ...]]) -> int:
    row = looking.execute(
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND usename = current_user AND pid <> pg_backend_pid()"
    ).fetchone()
    return int(row[0]) if row else 0


async def test_support_does_not_reset_the_factors_of_staff(office: Office) -> None:
    support, person = await office.staff("support"), await office.staff("coach")
    with pytest.raises(StaffProtected):
        await office.worker.factors.plan_reset(person, support, "lost his phone")
    admin = await office.staff(ADMINISTRATOR)
    plan = office.worker.factors.plan_reset
    due = office.people.clock() + RESET_WAIT
    assert await plan(person, admin, "lost his phone", as_administrator=True) == due
    athlete = (await office.person()).user_id
    assert await plan(athlete, support, "lost his phone") == due


async def test_with_the_last_factor_the_tokens_that_say_roles_go(office: Office) -> None:
    staff, athlete = await office.staff("coach"), (await office.person()).user_id
    before = await office.count(_GENERATION, staff)
    flow = office.worker.factors
    for person in (staff, athlete):
        _, (passkey,) = await flow.factors(person)
        await flow.delete_passkey(person, passkey.passkey_id)
    assert await office.count(_GENERATION, staff) == before + 1
    assert await office.count(_REVOKED, staff) == before + 1
    # Whose tokens say nothing of roles keeps them.
    assert await office.count(_GENERATION, athlete) == 0


async def test_who_dies_between_the_factor_and_the_tokens_has_taken_neither(office: Office) -> None:
    staff = await office.staff("coach")
    before = await office.count(_GENERATION, staff)
    flow = office.worker.factors
    _, (passkey,) = await flow.factors(staff)
    async with office.people.bus.publisher.transaction() as session:
        # Its tokens' generation cannot be raised meanwhile.
        await session.row(_STANDING_HELD, {"of_user": staff})
        deleting = asyncio.create_task(flow.delete_passkey(staff, passkey.passkey_id))
        await asyncio.sleep(0.3)
        assert not deleting.done()
        deleting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deleting
    assert (await flow.factors(staff))[1] == [passkey]
    assert await office.count(_GENERATION, staff) == before
    await flow.delete_passkey(staff, passkey.passkey_id)
    assert await office.count(_GENERATION, staff) == before + 1


async def test_with_an_administrators_reset_they_go_too(office: Office) -> None:
    staff, admin = await office.staff("coach"), await office.staff(ADMINISTRATOR)
    await office.grant(OPERATOR, staff, "support", lasting=10 * DAY)
    before = await office.count(_GENERATION, staff)
    await office.worker.factors.plan_reset(staff, admin, "lost", as_administrator=True)
    await office.worker.factors.tidy()
    assert await office.count(_GENERATION, staff) == before
    office.people.clock.go_on(RESET_WAIT)
    await asyncio.gather(*(each.factors.tidy() for each in office.workers))
    assert await office.count(_GENERATION, staff) == before + 1


async def test_who_is_erased_has_no_role_and_is_named_nowhere(office: Office) -> None:
    admin, person = await office.staff(ADMINISTRATOR, "support"), await office.staff("coach")
    other = (await office.person()).user_id
    await office.grant(admin, other)
    await office.worker.blocks.block(admin, other, "shouts", None)
    await office.worker.blocks.unblock(admin, other, "quiet")
    await office.worker.blocks.block(admin, person, "shouts", None)
    reach: Any = None
    async with office.people.bus.publisher.transaction() as session:
        for gone in (admin, person):
            for subject in (*OF_ROLES, *OF_BLOCKS):
                await subject.erase(reach, session, gone, 1000)
    for gone in (admin, person):
        assert await office.all(gone) == []
        assert await office.count(_BLOCKS, gone) == 0
    (grant,) = await office.all(other)
    assert grant.granted_by is None
    (block,) = (await office.worker.blocks.standing(other)).blocks
    assert (block.blocked_by, block.lifted_by, block.reason) == (None, None, "shouts")
