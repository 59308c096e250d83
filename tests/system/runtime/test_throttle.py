"""Guessing gets slower for whoever guesses, in all processes together, and never for the owner."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from mesh.runtime.sql import Statement
from services.identity.auth import rules
from services.identity.auth.flow import Origin
from services.identity.auth.passwords import Passwords
from services.identity.tables.letters import LETTERS
from services.identity.throttle import rules as throttling
from services.identity.throttle.counts import _OPERATIONS
from services.identity.throttle.rules import ACCOUNT, NETWORK, Count, SignInThrottled, Verdict
from tests.support.identity_people import EMAIL, PASSWORD, People, Worker
from tests.support.told_counters import Bus

NOBODY = "nobody@example.com"
NORMAL = "Athlete@example.com"
NEW = "a quite different secret"
_UNLOCKS = Statement(
    select(func.count()).select_from(LETTERS).where(LETTERS.c.kind == "unlock_account")
)


@pytest.fixture
def people(bus: Bus, tmp_path: Path) -> People:
    return People(bus, tmp_path / "mail")


class Counting(Passwords):
    """Counts the hashes that are computed."""

    def __init__(self) -> None:
        super().__init__(1000)
        self.hashes = 0

    def _matches(self, password_hash: str, password: str) -> bool:
        self.hashes += 1
        return super()._matches(password_hash, password)


class Away:
    """A Redis that does not answer."""

    async def eval(self, *_: Any) -> Any:
        raise ConnectionError

    async def delete(self, *_: Any) -> Any:
        raise ConnectionError


async def tried(worker: Worker, email: str, password: str, origin: Origin | None = None) -> str:
    """How a try ends: `in`, `wrong`, or the whole seconds to wait."""
    try:
        await worker.auth.login(email, password, origin=origin or Origin())
    except rules.CredentialsWrong:
        return "wrong"
    except SignInThrottled as throttled:
        return str(round(throttled.retry_after_s))
    return "in"


@pytest.mark.parametrize("email", [EMAIL, NOBODY])
async def test_fifty_wrong_passwords_at_once_are_as_many_tries_as_are_free(
    people: People, email: str
) -> None:
    passwords = [Counting(), Counting()]
    workers = [people.worker(each) for each in passwords]
    await workers[0].auth.register(EMAIL, PASSWORD, "Athlete")
    ended = await asyncio.gather(
        *(tried(workers[number % 2], email, f"wrong {number}") for number in range(50))
    )
    assert ended.count("wrong") == ACCOUNT.free
    assert sum(each.hashes for each in passwords) == ACCOUNT.free
    assert set(ended) == {"wrong", "1"}


@pytest.mark.parametrize("email", [EMAIL, NOBODY])
async def test_each_failure_doubles_the_wait_up_to_an_hour_in_every_process(
    people: People, email: str
) -> None:
    workers = [people.worker(), people.worker()]
    await workers[0].auth.register(EMAIL, PASSWORD, "Athlete")
    for _ in range(ACCOUNT.free):
        assert await tried(workers[0], email, "wrong password") == "wrong"
    waits = []
    for number in range(14):
        # A new process asks: what was counted is not in the old one's memory.
        waits.append(int(await tried(people.worker(), email, "wrong password")))
        people.clock.go_on(timedelta(seconds=waits[-1]))
        assert await tried(workers[number % 2], email, "wrong password") == "wrong"
    assert waits == [min(2**number, 3600) for number in range(14)]


async def test_success_forgives_and_time_forgives(people: People) -> None:
    worker = people.worker()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    for _ in range(3):
        for _ in range(ACCOUNT.free - 1):
            assert await tried(worker, EMAIL, "wrong password") == "wrong"
        assert await tried(worker, EMAIL, PASSWORD) == "in"


async def test_the_same_hashes_are_made_whether_or_not_there_is_an_account(people: People) -> None:
    passwords = Counting()
    worker = people.worker(passwords)
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    for typed in (
        "wrong password",
        "wr\u0075\u0308ng password",
        "\N{FULLWIDTH LATIN SMALL LETTER A}bc",
    ):
        counts = []
        for email in (EMAIL, NOBODY, "no address at all"):
            passwords.hashes = 0
            assert await tried(worker, email, typed) == "wrong"
            counts.append(passwords.hashes)
        assert len(set(counts)) == 1, typed


async def test_a_known_device_is_not_held_up_by_what_others_get_wrong(people: People) -> None:
    worker = people.worker()
    done = await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    token = worker.auth.throttle.device_token(done.user_id)
    known = Origin("203.0.113.9", token)
    for _ in range(ACCOUNT.free):
        assert await tried(worker, EMAIL, "wrong password") == "wrong"
    assert await tried(worker, EMAIL, PASSWORD) == "1"
    assert await tried(worker, EMAIL, PASSWORD, known) == "in"
    assert await tried(worker, EMAIL, PASSWORD) == "1", "the others stay held up"
    for _ in range(ACCOUNT.free):
        assert await tried(worker, EMAIL, "wrong password", known) == "wrong"
    assert await tried(worker, EMAIL, PASSWORD, known) == "1", "nor may it guess for ever"


@pytest.mark.parametrize("token", ["", "nonsense", "A" * 64, "é", "A" * 128])
async def test_a_token_of_no_device_or_of_another_persons_helps_nobody(
    people: People, token: str
) -> None:
    worker = people.worker()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    other = await worker.auth.register("other@example.com", PASSWORD, "Other")
    theirs = worker.auth.throttle.device_token(other.user_id)
    for _ in range(ACCOUNT.free):
        assert await tried(worker, EMAIL, "wrong password") == "wrong"
    for each in (token, theirs):
        assert await tried(worker, EMAIL, PASSWORD, Origin("", each)) == "1"


async def guessed_shut(people: People, worker: Worker, email: str) -> None:
    """As many failures as make the account's owner hear of it."""
    failed = 0
    while failed < ACCOUNT.told_at:
        ended = await tried(worker, email, "wrong password")
        if ended == "wrong":
            failed += 1
        else:
            people.clock.go_on(timedelta(seconds=int(ended)))


async def test_the_owner_is_written_to_once_and_his_code_lets_him_in(people: People) -> None:
    worker = people.worker()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    await guessed_shut(people, worker, EMAIL)
    assert await people.count(_UNLOCKS) == 1
    assert int(await tried(worker, EMAIL, PASSWORD)) > 900
    code = await people.code(worker, "unlock_account", NORMAL)
    await worker.recovery.unlock(EMAIL, "", code)
    assert await tried(worker, EMAIL, PASSWORD) == "in"
    await worker.recovery.unlock(EMAIL, "", code)


async def test_where_there_is_no_account_nobody_is_written_to(people: People) -> None:
    worker = people.worker()
    await guessed_shut(people, worker, NOBODY)
    assert await people.count(_UNLOCKS) == 0
    assert int(await tried(worker, NOBODY, PASSWORD)) > 900


async def test_a_password_set_anew_lets_in_at_once(people: People) -> None:
    worker = people.worker()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    for _ in range(ACCOUNT.free):
        await tried(worker, EMAIL, "wrong password")
    await worker.recovery.request_reset(EMAIL, "")
    code = await people.code(worker, "reset_password", NORMAL)
    await worker.recovery.reset(EMAIL, "", code, NEW)
    assert await tried(worker, EMAIL, NEW) == "in"


async def test_a_network_that_tries_many_accounts_is_slowed_down_and_others_are_not(
    people: People,
) -> None:
    worker = people.worker()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    guesser, other = Origin("2001:db8:1:2::5"), Origin("2001:db8:1:3::5")
    neighbour = Origin("2001:db8:1:2::6")
    for number in range(NETWORK.free):
        ended = await tried(worker, f"{number}@example.com", "wrong password", guesser)
        assert ended == "wrong"
    assert await tried(worker, "another@example.com", "wrong password", neighbour) == "1"
    assert await tried(worker, EMAIL, PASSWORD, other) == "in"
    assert await tried(worker, EMAIL, PASSWORD, Origin("127.0.0.1")) == "in"


async def test_without_redis_each_process_counts_alone_and_more_strictly(people: People) -> None:
    worker = people.worker(redis=Away())
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    assert await tried(worker, EMAIL, PASSWORD) == "in"
    free = ACCOUNT.stricter().free
    assert free < ACCOUNT.free
    for _ in range(free):
        assert await tried(worker, EMAIL, "wrong password") == "wrong"
    assert await tried(worker, EMAIL, PASSWORD) == "1"
    people.clock.go_on(timedelta(seconds=1))
    assert await tried(worker, EMAIL, PASSWORD) == "in"


async def test_a_try_whose_process_was_killed_counts_as_failed(people: People) -> None:
    worker = people.worker()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    throttle = worker.auth.throttle
    key = throttle._key(ACCOUNT, NORMAL.casefold())
    for _ in range(ACCOUNT.free):
        await throttle.counts.change(key, "begin", ACCOUNT, throttle._now_ms())
    people.clock.go_on(timedelta(seconds=10))
    assert await tried(worker, EMAIL, PASSWORD) == "1"
    people.clock.go_on(timedelta(seconds=1))
    assert await tried(worker, EMAIL, PASSWORD) == "in"


async def test_a_repeated_registration_is_no_way_to_guess_passwords(people: People) -> None:
    worker = people.worker()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    for number in range(ACCOUNT.free):
        with pytest.raises(rules.EmailTaken):
            await worker.auth.register(EMAIL, f"a long enough guess {number}", "Athlete")
    with pytest.raises(SignInThrottled):
        await worker.auth.register(EMAIL, PASSWORD, "Athlete")


async def test_more_hashing_than_the_pool_takes_is_refused_at_once(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords, go_on = Passwords(most_waiting=3), threading.Event()
    monkeypatch.setattr(passwords, "_matches", lambda *_: go_on.wait(30) and False)
    worker = people.worker(passwords)
    tries = [
        asyncio.create_task(worker.auth.login(f"{number}@example.com", PASSWORD))
        for number in range(20)
    ]
    try:
        # Those that wait for the pool hold it: all others end before any of them.
        refused = [await first_error(each) for each in islice(asyncio.as_completed(tries), 17)]
    finally:
        go_on.set()
        ended = await asyncio.gather(*tries, return_exceptions=True)
    assert {getattr(each, "reason", each) for each in refused} == {"OVERLOADED"}
    assert sum(isinstance(each, rules.CredentialsWrong) for each in ended) == 3
    monkeypatch.undo()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")


async def first_error(ended: Awaitable[object]) -> Exception:
    with pytest.raises(Exception) as caught:
        await ended
    return caught.value


async def test_old_hashes_are_made_anew_at_the_next_sign_in(people: People) -> None:
    from argon2 import PasswordHasher

    typed = "\N{FULLWIDTH LATIN SMALL LETTER A} long enough secret"
    worker = people.worker()
    done = await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    account = await worker.auth.store.account(done.user_id)
    assert account is not None
    # Of before: weaker parameters, and of the password as it was typed.
    await worker.auth.store.rehash(account, PasswordHasher(1, 8192, 1).hash(typed))
    assert await tried(worker, EMAIL, typed) == "in"
    after = await worker.auth.store.account(done.user_id)
    assert after is not None
    assert "m=19456,t=2,p=1" in str(after.password_hash)
    assert await tried(worker, EMAIL, "a long enough secret") == "in"


async def test_the_rules_are_the_same_in_redis_and_alone(people: People) -> None:
    counts, dice, now_ms = people.worker().auth.throttle.counts, random.Random(7), 1_000_000
    alone, left = Count(), 0
    for number in range(400):
        now_ms += dice.choice((0, 1, 500, 1_000, 9_999, 10_000, 3_600_000))
        operation = dice.choice(("begin", "begin", "failed", "failed", "succeeded", "abandoned"))
        if operation == "succeeded" and dice.random() < 0.7:
            continue
        verdict = Verdict.GO
        if operation == "begin":
            alone, verdict, left = throttling.begin(alone, ACCOUNT, now_ms)
        else:
            alone, left = _OPERATIONS[operation](alone, ACCOUNT, now_ms), 0
        told = await counts.change("the same", operation, ACCOUNT, now_ms)
        assert told == (verdict, left, alone.failures), f"step {number}: {operation}"
