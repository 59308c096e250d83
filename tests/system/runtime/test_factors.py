"""Second factors when everything happens twice, at once, or is shown by somebody else."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from mesh.runtime.sql import Statement
from mesh.runtime.tokens import Verifier
from services.identity.factors import rules
from services.identity.factors.proofs import Proof
from services.identity.factors.second_step import Asked, Question
from services.identity.sessions.flow import SignedIn
from services.identity.tables.factors import SECOND_FACTORS, USED_TICKETS
from tests.support.authenticator import Authenticator
from tests.support.identity_people import EMAIL, PASSWORD, People, Worker
from tests.support.told_counters import Bus

AT_ONCE = 50
STEP = timedelta(seconds=rules.STEP_S)
_ROWS = Statement(select(SECOND_FACTORS.c.totp_secret, SECOND_FACTORS.c.recovery_hashes))
_TICKETS = Statement(select(USED_TICKETS.c.tries))


@dataclass
class Person:
    """Somebody with an account, and two workers that he comes to."""

    people: People
    workers: tuple[Worker, Worker]
    first: SignedIn
    secret: bytes = b""

    @property
    def id(self) -> uuid.UUID:
        return self.first.user_id

    @property
    def factors(self) -> Any:
        return self.workers[0].factors

    def code(self, steps: int = 0) -> str:
        return rules.hotp(self.secret, rules.step_at(self.people.clock()) + steps)

    async def set_totp_up(self) -> None:
        offer = await self.factors.create_totp(self.id, "Athlete")
        self.secret = base64.b32decode(offer.secret)
        await self.factors.confirm_totp(self.id, offer.token, self.code())
        # The code that confirmed it serves no more.
        self.people.clock.go_on(STEP)

    async def set_passkey_up(self, made: Authenticator) -> None:
        offer = await self.factors.start_passkey(self.id, "Athlete")
        await self.factors.create_passkey(self.id, offer.token, made.create(offer.options), "Key")

    async def asked(self, worker: int = 0) -> Question:
        with pytest.raises(Asked) as asked:
            await self.workers[worker].auth.login(EMAIL, PASSWORD)
        assert asked.value.user_id == self.id
        return asked.value.question

    async def complete(self, ticket: str, proof: Proof, worker: int = 0) -> SignedIn:
        return await self.workers[worker].second_step.complete(ticket, proof)

    async def amr(self, token: str) -> frozenset[str]:
        keys = self.workers[0].sessions.keys.public_keys
        verifier = Verifier(keys, lambda: self.people.clock().timestamp())
        return (await verifier.verify(token)).amr


@pytest_asyncio.fixture
async def person(bus: Bus, tmp_path: Path) -> Person:
    people = People(bus, tmp_path / "mail")
    workers = people.worker(), people.worker()
    return Person(people, workers, await workers[0].auth.register(EMAIL, PASSWORD, "Athlete"))


async def outcomes(calls: list[Awaitable[Any]]) -> Counter[str]:
    """How many ended how."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    return Counter(type(each).__name__ for each in done)


async def test_fifty_logins_with_one_code_open_one_session(person: Person) -> None:
    await person.set_totp_up()
    tickets = [(await person.asked()).ticket for _ in range(AT_ONCE)]
    proof = Proof(totp_code=person.code())
    ended = await outcomes(
        [person.complete(each, proof, number % 2) for number, each in enumerate(tickets)]
    )
    assert ended["SignedIn"] == 1
    assert set(ended) <= {"SignedIn", "SecondFactorWrong", "SecondFactorThrottled"}


async def test_a_used_code_is_refused_in_the_words_of_a_wrong_one(person: Person) -> None:
    await person.set_totp_up()
    proof = Proof(totp_code=person.code())
    await person.complete((await person.asked()).ticket, proof)
    with pytest.raises(rules.SecondFactorWrong) as used:
        await person.complete((await person.asked()).ticket, proof)
    with pytest.raises(rules.SecondFactorWrong) as earlier:
        await person.complete((await person.asked()).ticket, Proof(totp_code=person.code(-1)))
    wrong_code = f"{(int(person.code(1)) + 1) % 10**6:06d}"
    with pytest.raises(rules.SecondFactorWrong) as wrong:
        await person.complete((await person.asked()).ticket, Proof(totp_code=wrong_code))
    assert str(used.value) == str(wrong.value) == str(earlier.value) == ""
    person.people.clock.go_on(STEP)
    done = await person.complete((await person.asked()).ticket, Proof(totp_code=person.code()))
    assert await person.amr(done.access_token) == {"pwd", "otp", "mfa"}


async def test_the_code_that_confirmed_an_app_signs_nobody_in(person: Person) -> None:
    offer = await person.factors.create_totp(person.id, "Athlete")
    person.secret = base64.b32decode(offer.secret)
    await outcomes(
        [person.factors.confirm_totp(person.id, offer.token, person.code()) for _ in range(10)]
    )
    with pytest.raises(rules.SecondFactorWrong):
        await person.complete((await person.asked()).ticket, Proof(totp_code=person.code()))
    await person.workers[0].letters.deliver()
    kinds = Counter(each["kind"] for each in person.people.mail())
    assert kinds["factor_added"] == 1


async def test_an_app_is_set_up_in_time_by_its_own_person_and_once(person: Person) -> None:
    offer = await person.factors.create_totp(person.id, "Athlete")
    other = await person.workers[0].auth.register("other@example.com", PASSWORD, "Other")
    person.secret = base64.b32decode(offer.secret)
    with pytest.raises(rules.ConfirmationWrong):
        await person.factors.confirm_totp(person.id, offer.token, person.code(5))
    with pytest.raises(rules.EnrolmentInvalid):
        await person.factors.confirm_totp(other.user_id, offer.token, person.code())
    late = await person.factors.create_totp(person.id, "Athlete")
    await person.factors.confirm_totp(person.id, offer.token, person.code())
    with pytest.raises(rules.TotpExists):
        await person.factors.create_totp(person.id, "Athlete")
    code = rules.hotp(base64.b32decode(late.secret), rules.step_at(person.people.clock()))
    with pytest.raises(rules.TotpExists):
        await person.factors.confirm_totp(person.id, late.token, code)
    person.people.clock.go_on(rules.ENROLMENT_LIFETIME)
    with pytest.raises(rules.EnrolmentInvalid):
        await person.factors.confirm_totp(person.id, offer.token, person.code())


async def test_nothing_that_opens_a_door_is_in_the_rows(person: Person) -> None:
    await person.set_totp_up()
    codes = await person.factors.create_recovery_codes(person.id)
    ((secret, hashes),) = await person.people.bus.publisher.rows(_ROWS, {})
    assert person.secret not in secret
    assert len(hashes) == rules.RECOVERY_CODES
    for code in codes:
        assert all(rules.plain_recovery_code(code) not in each for each in hashes)


async def test_a_recovery_code_serves_one_of_fifty(person: Person) -> None:
    await person.set_totp_up()
    codes = await person.factors.create_recovery_codes(person.id)
    tickets = [(await person.asked()).ticket for _ in range(AT_ONCE)]
    proof = Proof(recovery_code=codes[3].upper())
    ended = await outcomes(
        [person.complete(each, proof, number % 2) for number, each in enumerate(tickets)]
    )
    assert ended["SignedIn"] == 1
    factors, _ = await person.factors.factors(person.id)
    assert factors.recovery_codes == rules.RECOVERY_CODES - 1
    await person.workers[0].letters.deliver()
    kinds = Counter(each["kind"] for each in person.people.mail())
    assert kinds["recovery_code_used"] == 1


async def test_two_recovery_codes_on_one_ticket_cost_one(person: Person) -> None:
    await person.set_totp_up()
    codes = await person.factors.create_recovery_codes(person.id)
    ticket = (await person.asked()).ticket
    ended = await outcomes(
        [person.complete(ticket, Proof(recovery_code=each)) for each in codes[:2]]
    )
    assert ended["SignedIn"] == 1
    factors, _ = await person.factors.factors(person.id)
    assert factors.recovery_codes == rules.RECOVERY_CODES - 1


async def test_new_recovery_codes_replace_the_old_ones_and_need_a_factor(person: Person) -> None:
    with pytest.raises(rules.SecondFactorMissing):
        await person.factors.create_recovery_codes(person.id)
    await person.set_totp_up()
    old = await person.factors.create_recovery_codes(person.id)
    sets = await asyncio.gather(
        *(person.factors.create_recovery_codes(person.id) for _ in range(10))
    )
    ticket = (await person.asked()).ticket
    with pytest.raises(rules.SecondFactorWrong):
        await person.complete(ticket, Proof(recovery_code=old[0]))
    good = 0
    for each in sets:
        asked = await person.asked()
        try:
            await person.complete(asked.ticket, Proof(recovery_code=each[0]))
            good += 1
        except rules.SecondFactorWrong:
            continue
    assert good == 1


async def test_fifty_guesses_at_once_are_five_of_a_ticket(person: Person) -> None:
    await person.set_totp_up()
    ticket = (await person.asked()).ticket
    right = person.code()
    guesses = [f"{(int(right) + 1000 + number) % 10**6:06d}" for number in range(AT_ONCE)]
    ended = await outcomes(
        [
            person.complete(ticket, Proof(totp_code=each), number % 2)
            for number, each in enumerate(guesses)
        ]
    )
    assert ended == {"SecondFactorWrong": rules.MOST_TRIES, "SignInTicketInvalid": 45}
    with pytest.raises(rules.SignInTicketInvalid):
        await person.complete(ticket, Proof(totp_code=right))
    await person.complete((await person.asked()).ticket, Proof(totp_code=right))


async def test_whoever_knows_the_password_cannot_guess_on_by_new_tickets(person: Person) -> None:
    await person.set_totp_up()
    wrong = Proof(totp_code=f"{(int(person.code()) + 5000) % 10**6:06d}")
    tickets = [(await person.asked()).ticket for _ in range(AT_ONCE)]
    ended = await outcomes([person.complete(each, wrong) for each in tickets])
    tried = rules.FREE_FAILURES + 1
    assert ended == {"SecondFactorWrong": tried, "SecondFactorThrottled": AT_ONCE - tried}
    with pytest.raises(rules.SecondFactorThrottled) as refused:
        await person.complete((await person.asked()).ticket, Proof(totp_code=person.code()))
    assert 0 < refused.value.retry_after_s <= rules.FIRST_WAIT_S
    person.people.clock.go_on(timedelta(seconds=rules.FIRST_WAIT_S))
    with pytest.raises(rules.SecondFactorWrong):
        await person.complete((await person.asked()).ticket, wrong)
    person.people.clock.go_on(timedelta(seconds=2 * rules.FIRST_WAIT_S))
    await person.complete((await person.asked()).ticket, Proof(totp_code=person.code()))
    with pytest.raises(rules.SecondFactorWrong):
        await person.complete((await person.asked()).ticket, wrong)


async def test_a_ticket_is_over_after_its_time_or_one_sign_in_and_is_kept_by_nobody(
    person: Person,
) -> None:
    await person.set_totp_up()
    first, second = await person.asked(), await person.asked()
    assert await person.people.bus.publisher.rows(_TICKETS, {}) == []
    await person.complete(first.ticket, Proof(totp_code=person.code()))
    person.people.clock.go_on(STEP)
    with pytest.raises(rules.SignInTicketInvalid):
        await person.complete(first.ticket, Proof(totp_code=person.code()))
    person.people.clock.go_on(rules.TICKET_LIFETIME)
    with pytest.raises(rules.SignInTicketInvalid):
        await person.complete(second.ticket, Proof(totp_code=person.code()))
    for nonsense in ("", "AAAA", "é", first.ticket[:-4] + "AAAA"):
        with pytest.raises(rules.SignInTicketInvalid):
            await person.complete(nonsense, Proof(totp_code=person.code()))
    person.people.clock.go_on(timedelta(hours=1))
    await person.factors.tidy()
    assert await person.people.bus.publisher.rows(_TICKETS, {}) == []


async def test_a_wrong_password_gets_the_same_answer_with_a_second_factor_as_without(
    person: Person,
) -> None:
    await person.set_totp_up()
    for email in (EMAIL, "nobody@example.com"):
        with pytest.raises(Exception, match=r"^$") as refused:
            await person.workers[0].auth.login(email, PASSWORD + "!")
        assert type(refused.value).__name__ == "CredentialsWrong"


async def test_registering_again_is_no_way_around_the_second_factor(person: Person) -> None:
    await person.set_totp_up()
    with pytest.raises(Asked):
        await person.workers[0].auth.register(EMAIL, PASSWORD, "Athlete")


@pytest.mark.parametrize("made", [Authenticator(), Authenticator(is_edwards=True, counter=7)])
async def test_a_passkey_is_a_second_factor(person: Person, made: Authenticator) -> None:
    await person.set_passkey_up(made)
    asked = await person.asked()
    assert asked.kinds == ("passkey",)
    answer = made.get(asked.passkey_options, is_verified=False, user_handle=b"")
    done = await person.complete(asked.ticket, Proof(passkey=answer))
    assert await person.amr(done.access_token) == {"pwd", "hwk", "mfa"}
    _, (held,) = await person.factors.factors(person.id)
    assert held.used_at == person.people.clock()
    assert held.sign_count == made.counter


async def test_a_passkey_alone_signs_in_and_counts_as_two_factors(person: Person) -> None:
    made = Authenticator(is_synced=True)
    await person.set_passkey_up(made)
    step = person.workers[1].second_step
    asked = step.start_alone()
    assert json.loads(asked.passkey_options)["allowCredentials"] == []
    answer = made.get(asked.passkey_options)
    ended = await outcomes(
        [step.finish_alone(asked.ticket, answer, _nowhere()) for _ in range(AT_ONCE)]
    )
    assert ended == {"SignedIn": 1, "SecondFactorWrong": AT_ONCE - 1}
    again = step.start_alone()
    done = await step.finish_alone(again.ticket, made.get(again.passkey_options), _nowhere())
    assert await person.amr(done.access_token) == {"swk", "user", "mfa"}


def _nowhere() -> Any:
    from services.identity.sessions.rules import NOWHERE

    return NOWHERE


_OTHERS = base64.urlsafe_b64encode(b"x" * 32).decode().rstrip("=")


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://palestra.example.evil"},
        {"rp_id": "evil.example"},
        {"challenge": _OTHERS},
        {"is_broken": True},
        {"is_verified": False},
        {"user_handle": uuid.uuid4().bytes},
        {"user_handle": b""},
        {"kind": "webauthn.create"},
    ],
    ids="-".join,
)
async def test_a_passkey_that_is_wrong_in_one_thing_signs_nobody_in(
    person: Person, wrong: dict[str, Any]
) -> None:
    made = Authenticator(counter=1)
    await person.set_passkey_up(made)
    step = person.workers[0].second_step
    asked = step.start_alone()
    with pytest.raises(rules.SecondFactorWrong):
        await step.finish_alone(asked.ticket, made.get(asked.passkey_options, **wrong), _nowhere())
    done = await step.finish_alone(asked.ticket, made.get(asked.passkey_options), _nowhere())
    assert done.user_id == person.id


async def test_another_persons_passkey_proves_nothing_of_this_one(person: Person) -> None:
    await person.set_totp_up()
    other = await person.workers[0].auth.register("other@example.com", PASSWORD, "Other")
    theirs = Authenticator()
    offer = await person.factors.start_passkey(other.user_id, "Other")
    credential = theirs.create(offer.options)
    with pytest.raises(rules.EnrolmentInvalid):
        await person.factors.create_passkey(person.id, offer.token, credential, "Key")
    await person.factors.create_passkey(other.user_id, offer.token, credential, "Key")
    asked = await person.asked()
    for handle in (b"", person.id.bytes, other.user_id.bytes):
        step = person.workers[0].second_step
        alone = step.start_alone()
        answer = theirs.get(alone.passkey_options, user_handle=handle)
        with pytest.raises(rules.SecondFactorWrong):
            await person.complete(asked.ticket, Proof(passkey=answer))
        if handle != other.user_id.bytes:
            with pytest.raises(rules.SecondFactorWrong):
                await step.finish_alone(alone.ticket, answer, _nowhere())


async def test_a_challenge_of_one_purpose_serves_no_other(person: Person) -> None:
    made = Authenticator()
    await person.set_passkey_up(made)
    step = person.workers[0].second_step
    alone, asked = step.start_alone(), await person.asked()
    with pytest.raises(rules.SignInTicketInvalid):
        await person.complete(alone.ticket, Proof(passkey=made.get(alone.passkey_options)))
    with pytest.raises(rules.SignInTicketInvalid):
        await step.finish_alone(asked.ticket, made.get(asked.passkey_options), _nowhere())


async def test_a_counter_that_goes_back_is_a_copys(person: Person) -> None:
    made = Authenticator(counter=5)
    await person.set_passkey_up(made)
    copy = Authenticator(
        counter=5, key=made.key, credential_id=made.credential_id, user_handle=made.user_handle
    )
    step = person.workers[0].second_step
    for _ in range(3):
        asked = step.start_alone()
        await step.finish_alone(asked.ticket, made.get(asked.passkey_options), _nowhere())
    asked = step.start_alone()
    with pytest.raises(rules.SecondFactorWrong):
        await step.finish_alone(asked.ticket, copy.get(asked.passkey_options), _nowhere())


async def test_ten_passkeys_of_fifteen_at_once_are_kept(person: Person) -> None:
    async def one() -> None:
        await person.set_passkey_up(Authenticator())

    offers = [await person.factors.start_passkey(person.id, "Athlete") for _ in range(15)]
    ended = await outcomes(
        [
            person.factors.create_passkey(
                person.id, each.token, Authenticator().create(each.options), "Key"
            )
            for each in offers
        ]
    )
    assert ended == {"Passkey": rules.MOST_PASSKEYS, "PasskeysTooMany": 5}
    _, held = await person.factors.factors(person.id)
    assert len(held) == rules.MOST_PASSKEYS
    with pytest.raises(rules.PasskeysTooMany):
        await one()
    await asyncio.gather(
        *(person.factors.delete_passkey(person.id, held[0].passkey_id) for _ in range(10))
    )
    await one()


async def test_a_repeated_registration_finds_its_passkey_and_a_changed_one_is_refused(
    person: Person,
) -> None:
    made = Authenticator()
    offer = await person.factors.start_passkey(person.id, "Athlete")
    credential = made.create(offer.options)
    first = await person.factors.create_passkey(person.id, offer.token, credential, "Key")
    again = await person.factors.create_passkey(person.id, offer.token, credential, "Key")
    assert again.passkey_id == first.passkey_id
    with pytest.raises(rules.EnrolmentInvalid):
        await person.factors.create_passkey(
            person.id, offer.token, Authenticator().create(offer.options), "Key"
        )
    for wrong in ({"origin": "https://evil.example"}, {"rp_id": "evil.example"}):
        offer = await person.factors.start_passkey(person.id, "Athlete")
        with pytest.raises(rules.PasskeyRefused):
            await person.factors.create_passkey(
                person.id, offer.token, Authenticator().create(offer.options, **wrong), "Key"
            )
    for nonsense in ("{}", "[]", "x", '{"id": 1}'):
        with pytest.raises(rules.PasskeyRefused):
            await person.factors.create_passkey(person.id, offer.token, nonsense, "Key")


async def test_recovery_codes_go_with_the_last_factor(person: Person) -> None:
    made = Authenticator()
    await person.set_totp_up()
    await person.set_passkey_up(made)
    await person.factors.create_recovery_codes(person.id)
    await person.factors.delete_totp(person.id)
    factors, (held,) = await person.factors.factors(person.id)
    assert factors.recovery_codes == rules.RECOVERY_CODES
    await person.factors.delete_passkey(person.id, held.passkey_id)
    await person.factors.delete_passkey(person.id, held.passkey_id)
    factors, none = await person.factors.factors(person.id)
    assert (factors.recovery_codes, factors.kinds, none) == (0, (), [])
    assert (await person.workers[0].auth.login(EMAIL, PASSWORD)).user_id == person.id
    await person.workers[0].letters.deliver()
    kinds = Counter(each["kind"] for each in person.people.mail())
    assert kinds["factor_removed"] == 2


async def test_support_s_reset_waits_a_day_and_a_sign_in_calls_it_off(person: Person) -> None:
    support = uuid.uuid4()
    with pytest.raises(rules.SecondFactorMissing):
        await person.factors.plan_reset(person.id, support, "lost the phone")
    await person.set_totp_up()
    planned = await person.factors.plan_reset(person.id, support, "lost the phone")
    person.people.clock.go_on(timedelta(hours=1))
    assert await person.factors.plan_reset(person.id, support, "once more") == planned
    await person.complete((await person.asked()).ticket, Proof(totp_code=person.code()))
    person.people.clock.go_on(rules.RESET_WAIT)
    await person.factors.tidy()
    await person.asked()
    await person.factors.plan_reset(person.id, support, "lost the phone")
    person.people.clock.go_on(rules.RESET_WAIT - timedelta(seconds=1))
    await person.factors.tidy()
    await person.asked()
    person.people.clock.go_on(timedelta(seconds=1))
    await asyncio.gather(*(each.factors.tidy() for each in person.workers))
    assert (await person.workers[0].auth.login(EMAIL, PASSWORD)).user_id == person.id
    await person.workers[0].letters.deliver()
    kinds = Counter(each["kind"] for each in person.people.mail())
    assert kinds["factors_reset_planned"] == 2


async def test_step_up_renews_the_proof_by_what_the_person_has(person: Person) -> None:
    up = person.workers[0].step_up
    session = person.first.session_id
    with pytest.raises(Exception, match=r"^$") as wrong:
        await up.by_password(person.id, session, PASSWORD + "!")
    assert type(wrong.value).__name__ == "PasswordWrong"
    person.people.clock.go_on(timedelta(hours=1))
    token, _ = await up.by_password(person.id, session, PASSWORD)
    keys = person.workers[0].sessions.keys.public_keys
    verifier = Verifier(keys, lambda: person.people.clock().timestamp())
    user = await verifier.verify(token)
    assert user.auth_time_s == int(person.people.clock().timestamp())
    await person.set_totp_up()
    with pytest.raises(rules.SecondFactorNeeded):
        await up.by_password(person.id, session, PASSWORD)
    proof = Proof(totp_code=person.code())
    ended = await outcomes([up.by_factor(person.id, session, "", proof) for _ in range(10)])
    assert ended == {"tuple": 1, "SecondFactorWrong": 9}
    person.people.clock.go_on(STEP)
    token, _ = await up.by_factor(person.id, session, "", Proof(totp_code=person.code()))
    assert await person.amr(token) == {"pwd", "otp", "mfa"}


async def test_a_passkeys_step_up_is_bound_to_its_session(person: Person) -> None:
    made = Authenticator()
    other = await person.workers[0].auth.login(EMAIL, PASSWORD)
    await person.set_passkey_up(made)
    worker = person.workers[0]
    asked = await worker.second_step.start_again(person.id, str(person.first.session_id))
    proof = Proof(passkey=made.get(asked.passkey_options))
    with pytest.raises(rules.SignInTicketInvalid):
        await worker.step_up.by_factor(person.id, other.session_id, asked.ticket, proof)
    await worker.step_up.by_factor(person.id, person.first.session_id, asked.ticket, proof)
    with pytest.raises(rules.SecondFactorWrong):
        await worker.step_up.by_factor(person.id, person.first.session_id, asked.ticket, proof)
