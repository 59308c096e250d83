"""Addresses proved, passwords set anew: by the right code of the right person, once."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mesh.runtime.errors import MeshError
from mesh.runtime.sql import Statement
from services.identity.addresses import rules as addresses
from services.identity.addresses.rules import Address, State
from services.identity.auth import rules
from services.identity.codes import rules as codes
from services.identity.codes.rules import CodeWrong
from services.identity.sessions.rules import RefreshTokenInvalid
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.codes import CODES
from services.identity.tables.letters import LETTERS
from tests.support.identity_people import EMAIL, PASSWORD, People, Worker
from tests.support.told_counters import Bus

NORMAL = "Athlete@example.com"
SECOND = "second@example.com"
NEW = "a quite different secret"
_LEFT = Statement(select(func.coalesce(func.max(CODES.c.attempts_left), -1)))
_LETTERS = Statement(select(func.count()).select_from(LETTERS))
_ACCOUNTS = Statement(select(func.count()).select_from(ACCOUNTS))


@pytest.fixture
def people(bus: Bus, tmp_path: Path) -> People:
    return People(bus, tmp_path / "mail")


async def verified(people: People, worker: Worker, email: str = NORMAL) -> uuid.UUID:
    """A person whose address is proved."""
    done = await worker.auth.register(email, PASSWORD, "Athlete")
    code = await people.code(worker, "verify_address", email)
    (address,) = await worker.addresses.all(done.user_id)
    await worker.addresses.verify(done.user_id, address.address_id, code)
    return done.user_id


async def second(people: People, worker: Worker, user: uuid.UUID, email: str = SECOND) -> Address:
    """Another address, proved."""
    await worker.letters.deliver()
    people.clock.go_on(timedelta(seconds=1))
    added = await worker.addresses.add(user, email, "")
    code = await people.code(worker, "verify_address", email)
    return await worker.addresses.verify(user, added.address_id, code)


def wrong(code: str) -> str:
    """Another code."""
    return f"{(int(code) + 1) % 10**codes.DIGITS:0{codes.DIGITS}d}"


async def test_fifty_guesses_at_once_take_exactly_the_bound_and_then_the_code_is_dead(
    people: People,
) -> None:
    workers = [people.worker(), people.worker()]
    done = await workers[0].auth.register(EMAIL, PASSWORD, "Athlete")
    code = await people.code(workers[0], "verify_address", NORMAL)
    (address,) = await workers[0].addresses.all(done.user_id)
    assert await people.count(_LEFT) == codes.MOST_GUESSES

    async def guess(number: int, shown: str) -> bool:
        try:
            flow = workers[number % 2].addresses
            await flow.verify(done.user_id, address.address_id, shown)
        except CodeWrong:
            return False
        return True

    right = await asyncio.gather(*(guess(number, wrong(code)) for number in range(50)))
    assert not any(right)
    assert await people.count(_LEFT) == 0
    assert not await guess(0, code)


async def test_the_right_code_is_right_fifty_times_at_once_and_later(people: People) -> None:
    workers = [people.worker(), people.worker()]
    done = await workers[0].auth.register(EMAIL, PASSWORD, "Athlete")
    code = await people.code(workers[0], "verify_address", NORMAL)
    (address,) = await workers[0].addresses.all(done.user_id)
    found = await asyncio.gather(
        *(
            workers[number % 2].addresses.verify(done.user_id, address.address_id, code)
            for number in range(50)
        )
    )
    assert {each.state for each in found} == {State.VERIFIED}
    assert await people.count(_LEFT) == codes.MOST_GUESSES
    await workers[0].addresses.verify(done.user_id, address.address_id, "anything")


@pytest.mark.parametrize("typed", ["{0} {1}", "{0}-{1}", " {0}{1} "])
async def test_a_code_is_read_however_it_is_typed(people: People, typed: str) -> None:
    worker = people.worker()
    done = await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    code = await people.code(worker, "verify_address", NORMAL)
    (address,) = await worker.addresses.all(done.user_id)
    shown = typed.format(code[:4], code[4:])
    found = await worker.addresses.verify(done.user_id, address.address_id, shown)
    assert found.state is State.VERIFIED


async def test_a_code_lives_half_an_hour(people: People) -> None:
    worker = people.worker()
    done = await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    code = await people.code(worker, "verify_address", NORMAL)
    (address,) = await worker.addresses.all(done.user_id)
    people.clock.go_on(codes.LIFETIME)
    with pytest.raises(CodeWrong):
        await worker.addresses.verify(done.user_id, address.address_id, code)


async def test_a_code_of_another_purpose_or_person_or_address_does_not_serve(
    people: People,
) -> None:
    worker = people.worker()
    vera = await worker.auth.register(NORMAL, PASSWORD, "Vera")
    paul = await worker.auth.register("paul@example.com", PASSWORD, "Paul")
    hers = await people.code(worker, "verify_address", NORMAL)
    (his_address,) = await worker.addresses.all(paul.user_id)
    with pytest.raises(CodeWrong):
        await worker.addresses.verify(paul.user_id, his_address.address_id, hers)
    with pytest.raises(CodeWrong):
        await worker.recovery.reset(NORMAL, "", hers, NEW)
    await worker.recovery.request_reset(NORMAL, "")
    reset = await people.code(worker, "reset_password", NORMAL)
    with pytest.raises(CodeWrong):
        await worker.recovery.unlock(NORMAL, "", reset)
    (address,) = await worker.addresses.all(vera.user_id)
    with pytest.raises(CodeWrong):
        await worker.addresses.verify(vera.user_id, address.address_id, reset)


async def test_another_persons_address_is_not_found(people: People) -> None:
    worker = people.worker()
    vera = await worker.auth.register(NORMAL, PASSWORD, "Vera")
    paul = await worker.auth.register("paul@example.com", PASSWORD, "Paul")
    (hers,) = await worker.addresses.all(vera.user_id)
    with pytest.raises(addresses.AddressNotFound):
        await worker.addresses.send_code(paul.user_id, hers.address_id)
    await worker.addresses.remove(paul.user_id, hers.address_id)
    assert len(await worker.addresses.all(vera.user_id)) == 1


async def test_codes_are_sent_later_and_later_and_fifty_requests_send_one(people: People) -> None:
    workers = [people.worker(), people.worker()]
    await workers[0].auth.register(EMAIL, PASSWORD, "Athlete")
    await workers[0].letters.deliver()
    await asyncio.gather(
        *(workers[number % 2].recovery.request_reset(EMAIL, "") for number in range(50))
    )
    assert await people.count(_LETTERS) == 1
    await workers[0].letters.deliver()
    for wait in (1, 2, 4, 8, 16, 32, 60, 60):
        people.clock.go_on(timedelta(minutes=wait, seconds=-1))
        await workers[0].recovery.request_reset(EMAIL, "")
        assert await people.count(_LETTERS) == 0, f"before {wait} minutes"
        people.clock.go_on(timedelta(seconds=1))
        await workers[0].recovery.request_reset(EMAIL, "")
        assert await people.count(_LETTERS) == 1, f"after {wait} minutes"
        await workers[0].letters.deliver()


async def test_of_an_address_that_nobody_has_nothing_is_told_and_nothing_kept(
    people: People,
) -> None:
    worker = people.worker()
    await worker.recovery.request_reset("nobody@example.com", "")
    await worker.recovery.request_reset("no address at all", "")
    with pytest.raises(CodeWrong) as nobody:
        await worker.recovery.reset("nobody@example.com", "", "12345678", NEW)
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    await worker.recovery.request_reset(EMAIL, "")
    code = await people.code(worker, "reset_password", NORMAL)
    with pytest.raises(CodeWrong) as somebody:
        await worker.recovery.reset(EMAIL, "", wrong(code), NEW)
    assert str(nobody.value) == str(somebody.value) == ""


async def test_answers_about_addresses_all_take_as_long(people: People) -> None:
    worker = people.worker()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    recovery = replace(worker.recovery, alike_s=1.5)
    loop = asyncio.get_running_loop()
    for ask in (
        recovery.request_reset(EMAIL, ""),
        recovery.request_reset("nobody@example.com", ""),
        recovery.unlock(EMAIL, "", "12345678"),
        recovery.reset("nobody@example.com", "", "12345678", "short"),
    ):
        began = loop.time()
        await asyncio.gather(ask, return_exceptions=True)
        assert loop.time() - began >= 1.5


async def test_a_reset_ends_every_session_and_lets_only_the_new_password_in(
    people: People,
) -> None:
    worker = people.worker()
    await verified(people, worker)
    before = await worker.auth.login(EMAIL, PASSWORD)
    await worker.recovery.request_reset(EMAIL, "")
    code = await people.code(worker, "reset_password", NORMAL)
    await worker.recovery.reset(EMAIL, "", code, NEW)
    with pytest.raises(RefreshTokenInvalid):
        await worker.sessions.refresh(before.refresh_token)
    with pytest.raises(rules.CredentialsWrong):
        await worker.auth.login(EMAIL, PASSWORD)
    after = await worker.auth.login(EMAIL, NEW)
    await worker.letters.deliver()
    assert "password_changed" in {each["kind"] for each in people.mail()}
    await worker.recovery.reset(EMAIL, "", code, NEW)
    with pytest.raises(RefreshTokenInvalid):
        await worker.sessions.refresh(after.refresh_token)
    with pytest.raises(CodeWrong):
        await worker.recovery.reset(EMAIL, "", code, "one more different secret")


async def test_ten_resets_at_once_with_passwords_of_their_own_have_one_winner(
    people: People,
) -> None:
    workers = [people.worker(), people.worker()]
    await workers[0].auth.register(EMAIL, PASSWORD, "Athlete")
    await workers[0].recovery.request_reset(EMAIL, "")
    code = await people.code(workers[0], "reset_password", NORMAL)
    chosen = [f"{NEW} of number {number}" for number in range(10)]
    done = await asyncio.gather(
        *(
            workers[number % 2].recovery.reset(EMAIL, "", code, each)
            for number, each in enumerate(chosen)
        ),
        return_exceptions=True,
    )
    won = [each for each, outcome in zip(chosen, done, strict=True) if outcome is None]
    assert len(won) == 1
    assert {type(outcome) for outcome in done} == {type(None), CodeWrong}
    await workers[0].auth.login(EMAIL, won[0])


async def test_who_proves_an_address_takes_over_what_another_had_prepared(people: People) -> None:
    """Pre-hijacking: an account on somebody else's address, with ways back in."""
    taken: list[uuid.UUID] = []

    async def take_away(user: uuid.UUID) -> None:
        taken.append(user)

    worker = people.worker(taken_over=(take_away,))
    squatter = await worker.auth.register(EMAIL, PASSWORD, "Squatter")
    await worker.addresses.add(squatter.user_id, "trojan@example.com", "")
    await worker.recovery.request_reset(EMAIL, "")
    code = await people.code(worker, "reset_password", NORMAL)
    waiting = await people.code(worker, "verify_address", "trojan@example.com")
    (_, trojan) = await worker.addresses.all(squatter.user_id)
    await worker.recovery.reset(EMAIL, "", code, NEW)
    assert taken == [squatter.user_id]
    (left,) = await worker.addresses.all(squatter.user_id)
    assert (left.address, left.state, left.is_primary) == (NORMAL, State.VERIFIED, True)
    with pytest.raises(RefreshTokenInvalid):
        await worker.sessions.refresh(squatter.refresh_token)
    with pytest.raises(rules.CredentialsWrong):
        await worker.auth.login(EMAIL, PASSWORD)
    with pytest.raises(addresses.AddressNotFound):
        await worker.addresses.verify(squatter.user_id, trojan.address_id, waiting)


async def test_a_reset_of_a_proved_address_takes_nothing_away(people: People) -> None:
    taken: list[uuid.UUID] = []

    async def take_away(user: uuid.UUID) -> None:
        taken.append(user)

    worker = people.worker(taken_over=(take_away,))
    user = await verified(people, worker)
    await second(people, worker, user)
    await worker.recovery.request_reset(EMAIL, "")
    code = await people.code(worker, "reset_password", NORMAL)
    await worker.recovery.reset(EMAIL, "", code, NEW)
    assert taken == []
    assert len(await worker.addresses.all(user)) == 2


async def test_a_claim_gives_way_to_a_proof_and_a_proof_to_none(people: People) -> None:
    worker = people.worker()
    squatter = await worker.auth.register(SECOND, PASSWORD, "Squatter")
    owner = await verified(people, worker)
    proved = await second(people, worker, owner)
    assert proved.state is State.VERIFIED
    (lost,) = await worker.addresses.all(squatter.user_id)
    assert lost.state is State.PENDING
    assert (await worker.auth.login(SECOND, PASSWORD)).user_id == owner
    people.clock.go_on(timedelta(hours=1))
    await worker.addresses.send_code(squatter.user_id, lost.address_id)
    code = await people.code(worker, "verify_address", SECOND)
    with pytest.raises(addresses.AddressTaken):
        await worker.addresses.verify(squatter.user_id, lost.address_id, code)


async def test_an_unproved_address_is_no_way_in_once_another_is_proved(people: People) -> None:
    worker = people.worker()
    done = await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    proved = await second(people, worker, done.user_id)
    assert proved.is_primary
    with pytest.raises(rules.CredentialsWrong):
        await worker.auth.login(EMAIL, PASSWORD)
    assert (await worker.auth.login(SECOND, PASSWORD)).user_id == done.user_id


async def test_a_change_of_address_is_told_to_the_old_one(people: People) -> None:
    worker = people.worker()
    user = await verified(people, worker)
    proved = await second(people, worker, user)
    await worker.letters.deliver()
    people.clock.go_on(timedelta(seconds=1))
    await worker.addresses.make_primary(user, proved.address_id)
    (old,) = [each for each in await worker.addresses.all(user) if not each.is_primary]
    await worker.letters.deliver()
    people.clock.go_on(timedelta(seconds=1))
    await worker.addresses.remove(user, old.address_id)
    await worker.letters.deliver()
    told = [each["kind"] for each in people.mail(NORMAL)]
    assert told == ["verify_address", "address_added", "primary_changed", "address_removed"]
    assert [each["kind"] for each in people.mail(SECOND)] == ["verify_address"]
    people.clock.go_on(timedelta(days=2))
    await worker.addresses.tidy()
    with pytest.raises(rules.CredentialsWrong):
        await worker.auth.login(EMAIL, PASSWORD)


async def test_the_last_way_back_stays(people: People) -> None:
    worker = people.worker()
    user = await verified(people, worker)
    (only,) = await worker.addresses.all(user)
    with pytest.raises(addresses.AddressNeeded):
        await worker.addresses.remove(user, only.address_id)
    wished = await worker.addresses.add(user, SECOND, "")
    with pytest.raises(addresses.AddressNotVerified):
        await worker.addresses.make_primary(user, wished.address_id)
    with pytest.raises(addresses.AddressNeeded):
        await worker.addresses.remove(user, only.address_id)


async def test_twenty_additions_at_once_keep_to_the_bound(people: People) -> None:
    workers = [people.worker(), people.worker()]
    user = (await workers[0].auth.register(EMAIL, PASSWORD, "Athlete")).user_id
    done = await asyncio.gather(
        *(
            workers[number % 2].addresses.add(user, f"{number // 2}@example.com", "")
            for number in range(20)
        ),
        return_exceptions=True,
    )
    kept = await workers[0].addresses.all(user)
    assert len(kept) == addresses.MOST_ADDRESSES
    refused = [each for each in done if isinstance(each, BaseException)]
    assert {type(each) for each in refused} == {addresses.TooManyAddresses}
    assert len({each.address_id for each in done if isinstance(each, Address)}) == 4


async def test_a_change_of_password_ends_every_other_session(people: People) -> None:
    worker = people.worker()
    first = await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    other = await worker.auth.login(EMAIL, PASSWORD)
    asked = (first.user_id, first.session_id, PASSWORD, NEW)
    await asyncio.gather(*(worker.recovery.change(*asked, auth_age_s=9e9) for _ in range(10)))
    await worker.recovery.change(*asked, auth_age_s=9e9)
    await worker.sessions.refresh(first.refresh_token)
    with pytest.raises(RefreshTokenInvalid):
        await worker.sessions.refresh(other.refresh_token)
    await worker.auth.login(EMAIL, NEW)
    await worker.letters.deliver()
    assert [each["kind"] for each in people.mail()].count("password_changed") == 1
    with pytest.raises(rules.PasswordWrong):
        await worker.recovery.change(
            first.user_id, first.session_id, "not the password", "whatever it may be", auth_age_s=0
        )


async def test_without_the_former_password_only_a_fresh_sign_in_changes_it(people: People) -> None:
    worker = people.worker()
    first = await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    with pytest.raises(MeshError) as refused:
        await worker.recovery.change(first.user_id, first.session_id, "", NEW, auth_age_s=301.0)
    assert refused.value.reason == "SIGN_IN_TOO_OLD"
    await worker.recovery.change(first.user_id, first.session_id, "", NEW, auth_age_s=299.0)
    await worker.auth.login(EMAIL, NEW)


@pytest.mark.parametrize(
    "new", ["short", "aaaaaaaaaaaa", "Password123!", "athlete athlete", "п" * 99]
)
async def test_a_weak_password_is_refused_wherever_it_is_set(people: People, new: str) -> None:
    worker = people.worker()
    with pytest.raises(rules.PasswordWeak) as at_sign_up:
        await worker.auth.register(EMAIL, new, "Vera")
    assert at_sign_up.value.field == "password"
    with pytest.raises(rules.PasswordWeak) as at_reset:
        await worker.recovery.reset(EMAIL, "", "12345678", new)
    assert at_reset.value.field == "new_password"


async def test_a_phone_number_signs_up_and_in_however_it_is_written(people: People) -> None:
    worker = people.worker()
    first = await worker.auth.register(
        "", PASSWORD, "Athlete", phone="8 (912) 345-67-89", country="RU", language="ru"
    )
    assert (await worker.auth.login("", PASSWORD, phone="+79123456789")).user_id == first.user_id
    code = await people.code(worker, "verify_address", "+79123456789")
    assert people.mail("+79123456789")[-1]["language"] == "ru"
    (address,) = await worker.addresses.all(first.user_id)
    await worker.addresses.verify(first.user_id, address.address_id, code)
    with pytest.raises(rules.PhoneTaken):
        await worker.auth.register("", NEW, "Athlete", phone="+7 912 345 67 89")
    with pytest.raises(addresses.PhoneInvalid):
        await worker.auth.register("", PASSWORD, "Athlete", phone="912")


async def test_people_of_another_region_are_sent_there(people: People) -> None:
    worker = people.worker(regions={"RU": 1, "*": 7})
    with pytest.raises(rules.HomeRegionElsewhere) as refused:
        await worker.auth.register(EMAIL, PASSWORD, "Athlete", country="RU")
    assert refused.value.metadata == {"region": "1"}
    await worker.auth.register(EMAIL, PASSWORD, "Athlete", country="DE")
    assert await people.count(_ACCOUNTS) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_five_hundred_registrations_of_one_address_make_one_account(people: People) -> None:
    workers = [people.worker(), people.worker()]
    done = await asyncio.gather(
        *(
            workers[number % 2].auth.register(EMAIL, PASSWORD, f"Athlete {number}")
            for number in range(500)
        ),
        return_exceptions=True,
    )
    signed_in = [each for each in done if not isinstance(each, BaseException)]
    assert len({each.user_id for each in signed_in}) == 1
    assert await people.count(_ACCOUNTS) == 1
    assert await people.count(_LETTERS) == 1
