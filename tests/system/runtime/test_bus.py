"""Events: told with the change, in order, at least once; in effect exactly once."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from sqlalchemy import select

from mesh.runtime import bus as runtime_bus
from mesh.runtime import outbox, relay
from mesh.runtime.errors import Unavailable
from mesh.runtime.sql import Session, Statement
from mesh.runtime.tables import DEAD_LETTERS, OUTBOX
from palestra.identity.v1.events_pb2 import ProfileUpdated
from palestra.mesh.v1.event_pb2 import Event
from tests.support.cutting_proxy import cutting_proxy
from tests.support.told_counters import (
    CONSUMER,
    COUNT,
    PUBLISHER,
    Bus,
    consuming,
    handler,
    running,
    take_effect,
    until,
)

_OUTBOX = Statement(select(OUTBOX.c.key, OUTBOX.c.key_version, OUTBOX.c.published_at))
_DEAD = Statement(
    select(DEAD_LETTERS.c.key, DEAD_LETTERS.c.key_version, DEAD_LETTERS.c.parked).order_by(
        DEAD_LETTERS.c.key_version
    )
)


def key(number: int) -> str:
    return f"users/{number}"


async def waiting(bus: Bus) -> int:
    rows = await bus.publisher.rows(_OUTBOX, {})
    return sum(published_at is None for _, _, published_at in rows)


async def none_waiting(bus: Bus) -> bool:
    return await waiting(bus) == 0


async def test_a_change_and_its_event_commit_together_or_not_at_all(bus: Bus) -> None:
    message = outbox.Message("palestra.identity.v1.ProfileUpdated", key(1), b"")

    async def half_done() -> None:
        async with bus.publisher.transaction() as session:
            assert await session.run(COUNT, {"key": key(1), **outbox.values(message)}) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await half_done()
    assert await bus.counters() == {}
    assert await bus.publisher.rows(_OUTBOX, {}) == []
    await bus.count(key(1))
    assert await bus.counters() == {key(1): 1}
    assert await bus.publisher.rows(_OUTBOX, {}) == [(key(1), 1, None)]


async def test_many_at_once_get_dense_versions_and_leave_in_their_order(bus: Bus) -> None:
    async with running(bus.relaying().run):
        changes = [key(number % 20) for number in range(400)]
        random.shuffle(changes)
        await asyncio.gather(*(bus.count(each) for each in changes))
        await until(lambda: none_waiting(bus))
    versions: dict[str, list[int]] = {}
    for event in await bus.streams():
        versions.setdefault(event.key, []).append(event.key_version)
    assert versions == {key(number): list(range(1, 21)) for number in range(20)}


class Dying(relay.Relay):
    """Is killed when the bus has the events and the outbox does not know it yet."""

    async def _add(self, *arguments: Any) -> None:
        await super()._add(*arguments)
        raise asyncio.CancelledError


async def test_a_relay_killed_before_it_marks_publishes_again_and_the_inbox_drops_it(
    bus: Bus,
) -> None:
    for _ in range(3):
        await bus.count(key(1))
    url = bus.stores.database_url(PUBLISHER)
    with pytest.raises(asyncio.CancelledError):
        await Dying(url, bus.redis, PUBLISHER, 0).run()
    assert len(await bus.streams()) == 3
    assert await waiting(bus) == 3
    async with running(bus.relaying().run), consuming(bus, [handler()]):
        await until(lambda: none_waiting(bus))
        await bus.count(key(1))
        await until(bus.everything_took_effect)
    assert [event.key_version for event in await bus.streams()] == [1, 2, 3, 1, 2, 3, 4]
    assert await bus.effects() == [(key(1), version) for version in (1, 2, 3, 4)]


async def test_two_consumers_and_every_message_twice_have_one_effect_each(bus: Bus) -> None:
    for number in range(100):
        await bus.count(key(number % 10))
    async with running(bus.relaying().run):
        await until(lambda: none_waiting(bus))
    for event in await bus.streams():
        stream = relay.stream(PUBLISHER, relay.partition_of(event.key))
        await bus.redis.xadd(stream, {"e": event.SerializeToString()})
    async with consuming(bus, [handler()]) as one, consuming(bus, [handler()]) as two:
        await until(bus.everything_took_effect)
        await until(lambda: _all_read(bus))
        assert await bus.everything_took_effect()
        assert len(one.held | two.held) == relay.PARTITIONS
        assert not one.held & two.held


async def _all_read(bus: Bus) -> bool:
    for number in range(relay.PARTITIONS):
        stream = relay.stream(PUBLISHER, number)
        if not await bus.redis.exists(stream):
            return False
        for group in await bus.redis.xinfo_groups(stream):
            if group["lag"] or group["pending"]:
                return False
    return True


async def test_a_consumer_killed_in_the_middle_leaves_no_gap_and_no_double(bus: Bus) -> None:
    async with running(bus.relaying().run):
        for number in range(200):
            await bus.count(key(number % 5))
            if number in (60, 120):
                async with consuming(bus, [handler()]):
                    await until(lambda: _some(bus))
        async with consuming(bus, [handler()]):
            await until(bus.everything_took_effect)


async def _some(bus: Bus) -> bool:
    return bool(await bus.effects())


def failing(times: int, bad: str) -> tuple[Any, list[int]]:
    """A handler's work that fails so often on one key, and the versions that it tried."""
    tried: list[int] = []

    async def run(session: Session, message: Any, event: Event) -> None:
        if event.key == bad:
            tried.append(event.key_version)
            if len(tried) <= times:
                raise ZeroDivisionError("cannot digest it")
        await take_effect(session, message, event)

    return run, tried


def same_stream_as(bad: str) -> list[str]:
    """Other keys that travel in the same stream."""
    number = relay.partition_of(bad)
    return [key(each) for each in range(2, 300) if relay.partition_of(key(each)) == number][:3]


async def test_a_failing_message_holds_back_its_own_key_only_and_is_tried_again(bus: Bus) -> None:
    run, tried = failing(4, key(1))
    others = same_stream_as(key(1))
    for each in (key(1), key(1), *others, *others):
        await bus.count(each)
    async with running(bus.relaying().run), consuming(bus, [handler(run)]):
        await until(lambda: _took_effect(bus, others))
        assert len(tried) < 4
        assert not [each for each in await bus.effects() if each[0] == key(1)]
        await until(bus.everything_took_effect)
    assert tried == [1, 1, 1, 1, 1, 2]
    assert await bus.consumer.rows(_DEAD, {}) == []


async def _took_effect(bus: Bus, keys: list[str]) -> bool:
    found = await bus.effects()
    return all((each, 2) in found for each in keys)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives messages up after two attempts."""
    monkeypatch.setattr(runtime_bus, "MOST_ATTEMPTS", 2)


@pytest.mark.usefixtures("hasty")
async def test_a_message_given_up_parks_its_key_visibly(bus: Bus) -> None:
    run, _ = failing(2, key(1))
    for each in (key(1), key(2), key(1), key(1)):
        await bus.count(each)
    async with running(bus.relaying().run), consuming(bus, [handler(run)]):
        await until(lambda: _buried(bus, 3))
        await until(lambda: _all_read(bus))
    assert await bus.effects() == [(key(2), 1)]
    assert await bus.consumer.rows(_DEAD, {}) == [(key(1), version, True) for version in (1, 2, 3)]


@pytest.mark.usefixtures("hasty")
async def test_a_commutative_handler_goes_on_behind_what_was_given_up(bus: Bus) -> None:
    run, _ = failing(2, key(1))
    for each in (key(1), key(2), key(1), key(1)):
        await bus.count(each)
    commutative = handler(run, commutative=True)
    async with running(bus.relaying().run), consuming(bus, [commutative]):
        await until(lambda: _all_read(bus))
        await until(lambda: _buried(bus, 1))
    assert await bus.effects() == [(key(1), 2), (key(1), 3), (key(2), 1)]
    assert await bus.consumer.rows(_DEAD, {}) == [(key(1), 1, False)]


async def _buried(bus: Bus, count: int) -> bool:
    return len(await bus.consumer.rows(_DEAD, {})) == count


@pytest.mark.usefixtures("hasty")
async def test_a_store_that_is_away_is_no_fault_of_the_message(bus: Bus) -> None:
    tried: list[int] = []

    async def run(session: Session, message: Any, event: Event) -> None:
        tried.append(event.key_version)
        if len(tried) <= 4:
            raise Unavailable("the database does not answer")
        await take_effect(session, message, event)

    await bus.count(key(1))
    async with running(bus.relaying().run), consuming(bus, [handler(run)]):
        await until(bus.everything_took_effect, 20)
    assert await bus.consumer.rows(_DEAD, {}) == []


async def test_messages_whose_reading_was_not_answered_are_read_again(
    bus: Bus,
) -> None:
    """The bus handed them out, and the connection broke: nobody else will get them."""
    lost: list[bytes] = []

    def loses_first_events(answer: bytes) -> bool:
        if len(lost) < 2 and ProfileUpdated.DESCRIPTOR.full_name.encode() in answer:
            lost.append(answer)
            return True
        return False

    real = bus.stores.redis_url(CONSUMER)
    target = Path(unquote(urlsplit(real.rpartition("@")[2]).path))
    listen = target.with_name("lossy.sock")
    url = real.replace(quote(str(target)), quote(str(listen)))
    async with (
        cutting_proxy(listen, target, loses_first_events),
        running(bus.relaying().run),
        consuming(bus, [handler()], url),
    ):
        await bus.count(key(1))
        await until(bus.everything_took_effect)
        await bus.count(key(1))
        await until(bus.everything_took_effect)
    assert len(lost) == 2


async def test_a_consumer_takes_no_connection_that_repeats_its_reads(bus: Bus) -> None:
    with pytest.raises(ValueError, match="repeat"):
        runtime_bus.Consumer(bus.consumer, bus.redis, CONSUMER, [handler()])


async def test_what_is_no_event_is_passed_over_and_holds_up_nobody(bus: Bus) -> None:
    stream = relay.stream(PUBLISHER, relay.partition_of(key(1)))
    await bus.redis.xadd(stream, {"e": b"\xff\xff\xff"})
    await bus.redis.xadd(stream, {"x": b""})
    await bus.count(key(1))
    async with running(bus.relaying().run), consuming(bus, [handler()]):
        await until(bus.everything_took_effect)
        await until(lambda: _all_read(bus))


@pytest.mark.parametrize("store", ["redis", "postgres"])
async def test_a_store_killed_in_the_middle_loses_no_event_and_doubles_no_effect(
    bus: Bus, store: str
) -> None:
    acknowledged = 0

    async def count_on() -> None:
        nonlocal acknowledged
        number = 0
        while True:
            number += 1
            try:
                await bus.count(key(number % 7))
                acknowledged += 1
            except Unavailable:
                await asyncio.sleep(0.05)

    async def more() -> None:
        """Counted, not timed: a slow machine is to be killed amid as much work."""
        wanted = acknowledged + 25
        async with asyncio.timeout(30):
            while acknowledged < wanted:
                await asyncio.sleep(0.01)

    async with running(bus.relaying().run), consuming(bus, [handler()]):
        async with running(count_on):
            for _ in range(2):
                await more()
                bus.stores.kill(store)
                await asyncio.sleep(0.3)  # as long as it is away
                bus.stores.start(store)
            await more()
        await until(bus.everything_took_effect, 15)
        # What was not acknowledged may have been done: never less than was.
        assert sum((await bus.counters()).values()) >= acknowledged
