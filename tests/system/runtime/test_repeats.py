"""REPEAT_STORED: a call takes effect once, whenever and however often it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from mesh.runtime import partitions
from mesh.runtime.errors import MeshError, Unavailable
from mesh.runtime.repeats import Repeats, Run, values
from mesh.runtime.sql import Conflict, Database
from tests.support.purses import PRICE, SPEND, PurseEmpty, Purses, asking, make_tables, someone
from tests.support.told_counters import PUBLISHER, Bus

MIDNIGHT = datetime(2031, 5, 4, tzinfo=UTC)


@pytest_asyncio.fixture
async def purses(bus: Bus) -> Purses:
    await make_tables(bus.stores.database_url(PUBLISHER))
    return Purses(bus.publisher)


def once(purses: Purses, database: Database) -> Run:
    return Repeats(database).once(purses.spend, purses.spend_again)


@pytest.fixture
def spend(bus: Bus, purses: Purses) -> Run:
    return once(purses, bus.publisher)


async def test_fifty_at_the_same_instant_and_one_later_are_one(purses: Purses, spend: Run) -> None:
    call = someone()
    # As much as one costs: a second effect would be refused, and so would a repeat that
    # is taken for a new call.
    await purses.fill(call, PRICE)
    answers = await asyncio.gather(*(spend(asking("r"), call) for _ in range(50)))
    answers.append(await spend(asking("r"), call))
    (spending,) = await purses.spendings(call)
    assert {answer.device.name for answer in answers} == {f"{call.actor}/spendings/{spending}"}
    assert await purses.left(call) == 0


async def test_without_an_id_of_the_clients_the_edges_own_serves(
    purses: Purses, spend: Run
) -> None:
    call = replace(someone(), request_id="made by the edge")
    await purses.fill(call, 10 * PRICE)
    first, again = await spend(asking(""), call), await spend(asking(""), call)
    other = await spend(asking(""), replace(call, request_id="another"))
    assert first == again != other


async def test_the_same_id_with_another_body_is_refused(purses: Purses, spend: Run) -> None:
    call = someone()
    await purses.fill(call, 10 * PRICE)
    await spend(asking("r", "a hat"), call)
    with pytest.raises(MeshError) as refused:
        await spend(asking("r", "a coat"), call)
    assert refused.value.reason == "REQUEST_ID_REUSED"
    assert refused.value.violations[0][0] == "request_id"
    assert await purses.left(call) == 9 * PRICE


async def test_two_bodies_with_one_id_at_the_same_instant_are_one_and_a_refusal(
    purses: Purses, spend: Run
) -> None:
    call = someone()
    await purses.fill(call, 10 * PRICE)
    found = await asyncio.gather(
        *(spend(asking("r", f"thing {number % 2}"), call) for number in range(20)),
        return_exceptions=True,
    )
    refused = [each for each in found if isinstance(each, MeshError)]
    assert {each.reason for each in refused} == {"REQUEST_ID_REUSED"}
    assert len(refused) == 10
    assert len(await purses.spendings(call)) == 1


async def test_ids_are_the_callers_own(purses: Purses, spend: Run) -> None:
    one, other = someone(), someone()
    for call in (one, other):
        await purses.fill(call, PRICE)
        await spend(asking("r"), call)
    assert [await purses.left(call) for call in (one, other)] == [0, 0]


async def test_a_refused_call_leaves_nothing_and_is_decided_again(
    purses: Purses, spend: Run
) -> None:
    call = someone()
    with pytest.raises(PurseEmpty):
        await spend(asking("r"), call)
    await purses.fill(call, PRICE)
    await spend(asking("r"), call)
    assert await purses.left(call) == 0


async def test_what_is_kept_is_two_hashes_and_a_name(bus: Bus, purses: Purses, spend: Run) -> None:
    call = someone()
    await purses.fill(call, PRICE)
    await spend(asking("the-request-id", "a private thing"), call)
    async with await psycopg.AsyncConnection.connect(
        bus.stores.database_url(PUBLISHER)
    ) as connection:
        rows = await (
            await connection.execute("SELECT key, body, reference FROM repeats")
        ).fetchall()
    (spending,) = await purses.spendings(call)
    assert [(len(key), len(body), reference) for key, body, reference in rows] == [
        (32, 32, spending)
    ]


async def test_a_method_whose_store_remembers_nothing_fails_at_its_first_call(bus: Bus) -> None:
    async def forgetful(_request: Any, _call: Any) -> str:
        return "done"

    async def again(_reference: str, _call: Any) -> str:
        return "again"

    with pytest.raises(LookupError, match="remembers nothing"):
        await Repeats(bus.publisher).once(forgetful, again)(asking("r"), someone())


@pytest_asyncio.fixture
async def clocks(bus: Bus, purses: Purses) -> AsyncIterator[Any]:
    """Databases whose clocks stand where a test wants them."""
    assert purses is not None  # its tables
    url = bus.stores.database_url(PUBLISHER)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await partitions.make(connection, partitions.REPEATS, MIDNIGHT)
        await connection.execute(
            "CREATE FUNCTION now() RETURNS timestamptz STABLE LANGUAGE sql AS "
            "$$ SELECT current_setting('tests.now')::timestamptz $$"
        )
    opened = []

    async def at(now: datetime) -> Database:
        path = f"-c search_path={PUBLISHER},pg_catalog -c tests.now={now.isoformat()}"
        made = Database(f"{url}&options={path.replace(' ', '%20').replace('=', '%3D')}")
        await made.open()
        opened.append(made)
        return made

    yield at
    for database in opened:
        await database.close()


async def test_a_twin_from_before_midnight_that_has_not_committed_is_waited_for(
    clocks: Any, purses: Purses
) -> None:
    call = someone()
    await purses.fill(call, 10 * PRICE)
    before = await clocks(MIDNIGHT - timedelta(seconds=1))
    after = await clocks(MIDNIGHT + timedelta(minutes=1, seconds=59))
    held = asyncio.Event()

    class Slow(Purses):
        async def spend(self, request: Any, call: Any) -> Any:
            async with before.transaction() as session:
                bound = {"of_owner": call.actor, "id": "0" * 32, **values()}
                assert await session.run(SPEND, bound) == 1
                held.set()
                await waiting_for_us()
            return await self.spend_again("00000000-0000-0000-0000-000000000000", call)

    async def waiting_for_us() -> None:
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        async with await psycopg.AsyncConnection.connect(before.url, autocommit=True) as looking:
            while await (await looking.execute(query)).fetchone() is None:
                await asyncio.sleep(0.01)

    slow, late = Slow(before), Purses(after)
    first: asyncio.Future[Any] = asyncio.ensure_future(once(slow, before)(asking("r"), call))
    await asyncio.wait_for(held.wait(), 5)
    second = await asyncio.wait_for(once(late, after)(asking("r"), call), 10)
    assert second == await first
    assert len(await purses.spendings(call)) == 1


async def test_yesterdays_call_is_known_today_and_dropped_the_day_after(
    clocks: Any, bus: Bus, purses: Purses
) -> None:
    call = someone()
    await purses.fill(call, 10 * PRICE)
    evening = await clocks(MIDNIGHT - timedelta(minutes=1))
    next_evening = await clocks(MIDNIGHT + timedelta(hours=23))
    first = await once(Purses(evening), evening)(asking("r"), call)
    assert await once(Purses(next_evening), next_evening)(asking("r"), call) == first
    async with await psycopg.AsyncConnection.connect(
        bus.stores.database_url(PUBLISHER), autocommit=True
    ) as connection:
        yesterday = f"repeats_{MIDNIGHT - timedelta(days=1):%Y%m%d}"
        for hours, is_there in ((23, True), (24, False)):
            # Those of the real today stay out of this: they are older than the clock's.
            now = MIDNIGHT + timedelta(hours=hours)
            await partitions.drop(connection, partitions.REPEATS, now)
            found = await (
                await connection.execute("SELECT to_regclass(%s)", (yesterday,))
            ).fetchone()
            assert found is not None
            assert (found[0] is not None) is is_there


async def test_a_twin_that_held_the_place_and_gave_up_leaves_a_call_that_may_come_again(
    bus: Bus,
) -> None:
    async def beaten(_request: Any, _call: Any) -> None:
        raise Conflict("repeats_20310504_pkey")

    async def again(_reference: str, _call: Any) -> None:
        pytest.fail("there is nothing to answer from")

    with pytest.raises(Unavailable):
        await Repeats(bus.publisher).once(beaten, again)(asking("r"), someone())
