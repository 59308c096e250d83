"""Letters: asked for with a change, sent by one of many, made anew after a kill, never twice."""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select

from mesh.runtime.sql import Statement
from services.identity.codes.rules import CodeWrong
from services.identity.letters import rules
from services.identity.letters.rules import Kind, Letter, LetterInvalid
from services.identity.letters.senders import MOST_LETTERS, OLDEST_S, Mailbox, NotSent, Outgoing
from services.identity.letters.waking import Waking
from services.identity.tables.letters import LETTERS
from tests.support.identity_people import EMAIL, PASSWORD, People
from tests.support.told_counters import Bus, running, until

_WAITING = Statement(select(func.count()).select_from(LETTERS).where(LETTERS.c.dead_at.is_(None)))
_DEAD = Statement(select(func.count()).select_from(LETTERS).where(LETTERS.c.dead_at.is_not(None)))


@dataclass
class Post:
    """A sender that remembers, and fails as it is told."""

    sent: list[Outgoing] = field(default_factory=list)
    fails: bool = False
    dies: bool = False

    async def send(self, letter: Outgoing) -> None:
        if self.fails:
            raise NotSent("no post today")
        self.sent.append(letter)
        if self.dies:
            # As a kill after the letter has gone and before anybody could say so.
            raise asyncio.CancelledError


@pytest.fixture
def people(bus: Bus, tmp_path: Path) -> People:
    return People(bus, tmp_path / "mail")


async def test_fifty_letters_are_sent_once_each_by_four_workers(people: People) -> None:
    post = Post()
    workers = [people.worker(sender=post) for _ in range(4)]
    done = await workers[0].auth.register(EMAIL, PASSWORD, "Athlete")
    for number in range(49):
        letter = Letter(Kind.NEW_SIGN_IN, done.user_id, details={"device": f"device {number}"})
        await workers[0].letters.ask(letter)
    await asyncio.gather(*(worker.letters.deliver() for worker in workers))
    assert len(post.sent) == len({each.letter_id for each in post.sent}) == 50
    assert {each.address for each in post.sent} == {"Athlete@example.com"}
    assert await people.count(_WAITING) == 0


async def test_who_waits_for_letters_hears_of_them_at_once(people: People) -> None:
    post = Post()
    worker = people.worker(sender=post)
    waking = Waking(people.bus.stores.database_url("identity"), poll_s=60.0)

    async def sent() -> bool:
        return bool(post.sent)

    async with running(lambda: worker.letters.run(waking)):
        await until(_listened(people))
        await worker.auth.register(EMAIL, PASSWORD, "Athlete")
        await until(sent)


def _listened(people: People) -> Callable[[], Awaitable[bool]]:
    async def listens() -> bool:
        url = people.bus.stores.database_url("identity")
        async with await psycopg.AsyncConnection.connect(url) as connection:
            found = await connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'letters'"
                " AND state = 'idle'"
            )
            return await found.fetchone() is not None

    return listens


async def test_killed_between_sending_and_saying_so_the_newer_code_holds(people: People) -> None:
    dying, post = Post(dies=True), Post()
    worker = people.worker(sender=dying)
    done = await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    with pytest.raises(asyncio.CancelledError):
        await worker.letters.deliver()
    successor = people.worker(sender=post)
    await successor.letters.deliver()
    assert post.sent == [], "its time has not come"
    people.clock.go_on(rules.FIRST_AGAIN)
    await successor.letters.deliver()
    (first,), (second,) = dying.sent, post.sent
    assert first.letter_id == second.letter_id
    assert first.code != second.code
    (address,) = await worker.addresses.all(done.user_id)
    with pytest.raises(CodeWrong):
        await worker.addresses.verify(done.user_id, address.address_id, first.code)
    found = await worker.addresses.verify(done.user_id, address.address_id, second.code)
    assert found.verified_at == people.clock()
    assert await people.count(_WAITING) == 0


async def test_tries_come_later_and_later_and_end(people: People) -> None:
    post = Post(fails=True)
    worker = people.worker(sender=post)
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    waits = []
    for _ in range(rules.MOST_TRIES):
        await worker.letters.deliver()
        due = await worker.letters.store.next_due()
        if due is not None:
            waits.append(due - people.clock())
            people.clock.at = due
    assert waits == [
        min(rules.FIRST_AGAIN * 4**number, rules.LONGEST_AGAIN)
        for number in range(rules.MOST_TRIES - 1)
    ]
    assert (await people.count(_DEAD), await people.count(_WAITING)) == (1, 0)
    post.fails = False
    people.clock.go_on(timedelta(days=1))
    await worker.letters.deliver()
    assert post.sent == []
    people.clock.go_on(rules.DEAD_KEPT)
    await worker.letters.tidy()
    assert await people.count(_DEAD) == 0


async def test_a_letter_that_kills_whoever_sends_it_is_given_up(people: People) -> None:
    worker = people.worker(sender=Post(dies=True))
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    for _ in range(rules.MOST_TRIES):
        with pytest.raises(asyncio.CancelledError):
            await worker.letters.deliver()
        people.clock.go_on(rules.LONGEST_AGAIN)
    await worker.letters.deliver()
    assert (await people.count(_DEAD), await people.count(_WAITING)) == (1, 0)


async def test_without_an_account_a_letter_has_nowhere_to_go(people: People) -> None:
    post = Post()
    worker = people.worker(sender=post)
    done = await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    await worker.letters.ask(Letter(Kind.EXPORT_READY, done.user_id, uuid.uuid4()))
    await worker.letters.deliver()
    assert [each.kind for each in post.sent] == ["verify_address"]
    assert await people.count(_WAITING) == 0


async def test_no_code_and_no_address_is_in_the_rows(people: People) -> None:
    post = Post()
    worker = people.worker(sender=post)
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    url = people.bus.stores.database_url("identity")

    async def kept(*tables: str) -> str:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            found = [
                await (await connection.execute(f"SELECT t::text FROM {each} t")).fetchall()
                for each in tables
            ]
        return str(found).casefold()

    assert "athlete@example.com" in await kept("addresses")
    assert "athlete@example.com" not in await kept("letters", "codes", "outbox")
    await worker.letters.deliver()
    (letter,) = post.sent
    assert letter.code not in await kept("letters", "codes", "outbox", "accounts")


async def test_the_mailbox_is_its_users_own_and_keeps_so_many(people: People) -> None:
    worker = people.worker()
    await worker.auth.register(EMAIL, PASSWORD, "Athlete")
    await worker.letters.deliver()
    (path,) = people.folder.glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    letter = json.loads(path.read_text())
    assert (letter["to"], letter["kind"]) == ("Athlete@example.com", "verify_address")
    for number in range(MOST_LETTERS + 5):
        people.folder.joinpath(f"0000{number:05d}.json").write_text("{}")
    await Mailbox(people.folder).send(
        Outgoing(uuid.uuid4(), "x", "", "email", "b@example.com", "", None, {}, people.clock())
    )
    assert len(list(people.folder.glob("*.json"))) == MOST_LETTERS


async def test_letters_of_the_mailbox_go_in_time_though_none_comes(tmp_path: Path) -> None:
    old, young = tmp_path / "1.json", tmp_path / "2.json"
    for path in (old, young):
        path.write_text("{}")
    os.utime(old, (0, time.time() - OLDEST_S - 1))
    await Mailbox(tmp_path).tidy()
    assert list(tmp_path.iterdir()) == [young]
    await Mailbox(tmp_path / "not there").tidy()


def test_a_letters_details_have_a_bound() -> None:
    with pytest.raises(LetterInvalid):
        Letter(Kind.NEW_SIGN_IN, uuid.uuid4(), details={"device": "x" * 121})
    with pytest.raises(LetterInvalid):
        Letter(Kind.NEW_SIGN_IN, uuid.uuid4(), details={str(n): "" for n in range(9)})
