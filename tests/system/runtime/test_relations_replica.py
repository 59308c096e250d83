"""A service's copy of relations: it agrees with identity, and says no where it may not."""

from __future__ import annotations

import asyncio
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import Column, Integer, MetaData, Table, Uuid, func, select, text

from mesh.runtime import calls
from mesh.runtime.calls import Call
from mesh.runtime.consistency import Reached
from mesh.runtime.relations.feeds import BEHIND_AFTER_S, beat_keys, feed_of, key_of
from mesh.runtime.relations.replica import LONGEST_WAIT_S, Audience, only_visible
from mesh.runtime.sql import Statement
from mesh.runtime.subjects.whole import MARK
from mesh.runtime.tables import RELATIONS_FEEDS, RELATIONS_KNOWN, RELATIONS_REPLICA
from palestra.identity.v1.audience_pb2 import DESCRIPTOR
from services.identity.profiles.rules import UserNotFound
from services.identity.relations import flow as flow_module
from services.identity.relations import rules
from services.identity.visibility.rules import Audience as IdentitysAudience
from tests.support.relation_people import KilledError, Mirror, People
from tests.support.told_counters import PUBLISHER, Bus, until

AUDIENCE = DESCRIPTOR.enum_types_by_name["Audience"]
POSTS = Table(
    "posts",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("owner_id", Uuid),
    Column("audience", Integer),
)
_LIST = Statement(
    select(POSTS.c.number)
    .where(only_visible(POSTS.c.owner_id, POSTS.c.audience))
    .order_by(POSTS.c.number)
)
_ROWS = Statement(select(func.count()).select_from(RELATIONS_REPLICA))
_KNOWN = Statement(select(RELATIONS_KNOWN.c.user_id, RELATIONS_KNOWN.c.version))
_BEHIND = Statement(select(RELATIONS_FEEDS.c.feed).where(RELATIONS_FEEDS.c.behind))
_MISSING = Statement(
    select(RELATIONS_KNOWN.c.user_id).where(RELATIONS_KNOWN.c.behind_to.is_not(None))
)
_LOSE = Statement(text("UPDATE outbox SET published_at = now() WHERE published_at IS NULL"))
_BREAK = Statement(
    text("UPDATE outbox SET payload = :payload WHERE published_at IS NULL AND key = :key")
)
ALL = tuple(Audience)
DEEDS = (
    *(rules.follow, rules.unfollow, rules.approve, rules.remove_follower),
    *(rules.block, rules.unblock, rules.mute, rules.unmute),
    *(rules.add_close_friend, rules.remove_close_friend),
)


@pytest_asyncio.fixture
async def mirror(bus: Bus) -> AsyncIterator[Mirror]:
    yield Mirror(bus, People(bus.publisher))


async def _deeds(
    mirror: Mirror, people: Sequence[uuid.UUID], count: int, seed: int
) -> list[Reached]:
    """People do at random what they may; how far that came."""
    dice, reached = random.Random(seed), []
    for _ in range(count):
        me, other = dice.sample(people, 2)
        try:
            done = await mirror.flow.change(me, other, dice.choice(DEEDS))
            reached.append(done.reached)
        except (UserNotFound, rules.PersonBlocked, rules.FollowRequestNotFound):
            continue
    return reached


async def _agrees(mirror: Mirror, people: Sequence[uuid.UUID]) -> None:
    """Whoever looks at whomever: the copy's check, the copy's list and identity say the same."""
    for viewer, audience in itertools.product([*people, None], ALL):
        theirs = IdentitysAudience(audience)
        for unmuted in (False, True):
            told = await mirror.flow.filter(viewer, people, theirs, unmuted=unmuted)
            assert await mirror.copy.filter(viewer, people, audience, unmuted=unmuted) == told
        seen = [each for each in people if await mirror.copy.visible(viewer, each, audience)]
        assert seen == await mirror.flow.filter(viewer, people, theirs)


async def _ready(mirror: Mirror) -> None:
    """Everything was fetched, and a beat has come through each partition since."""
    await mirror.copying.catch_up()
    await mirror.flow.beat()
    since = mirror.clock() - timedelta(seconds=60)

    async def heard() -> bool:
        feeds = Statement(select(func.count()).where(RELATIONS_FEEDS.c.heard_at > since))
        return await mirror.bus.consumer.row(feeds, {}) == (len(beat_keys()),)

    await until(heard)


async def test_it_agrees_with_identity_before_and_after_everything_that_is_done(
    mirror: Mirror,
) -> None:
    people = [await mirror.people.person(open_=number % 2 == 0) for number in range(5)]
    await _deeds(mirror, people, 60, seed=1)
    async with mirror.kept():
        assert not await mirror.copy.visible(people[0], people[1], Audience.EVERYONE)
        assert await mirror.copy.visible(people[0], people[0], Audience.NOBODY)
        await _ready(mirror)
        await _agrees(mirror, people)
        reached = await _deeds(mirror, people, 60, seed=2)
        await until(lambda: _has_come(mirror, reached))
        await _agrees(mirror, people)
        assert await mirror.bus.consumer.rows(_MISSING, {}) == []


async def _has_come(mirror: Mirror, reached: Sequence[Reached]) -> bool:
    known: dict[uuid.UUID, int] = dict(await mirror.bus.consumer.rows(_KNOWN, {}))
    return all(known.get(each.user, 0) >= each.version for each in reached)


async def test_a_block_is_in_the_next_read_of_whoever_sends_its_token_though_the_bus_stands(
    mirror: Mirror,
) -> None:
    owner, viewer = [await mirror.people.person(open_=True) for _ in range(2)]
    await mirror.flow.change(viewer, owner, rules.follow)
    await mirror.flow.change(owner, viewer, rules.follow)
    async with mirror.kept():
        await _ready(mirror)
        assert await mirror.copy.visible(viewer, owner, Audience.FOLLOWERS)
    # From here on nothing comes over the bus.
    done = await mirror.flow.change(owner, viewer, rules.block)
    for sees, whose in ((owner, viewer), (viewer, owner)):
        assert not await mirror.copy.visible(sees, whose, Audience.EVERYONE, [done.reached])
        both = [whose, sees]
        found = await mirror.copy.filter(sees, both, Audience.EVERYONE, [done.reached])
        assert found == [sees], "his own, and nobody else's"
    # Who has no token is shown nothing either when the copy may be behind.
    assert await mirror.copy.visible(viewer, owner, Audience.FOLLOWERS)
    mirror.later = timedelta(seconds=BEHIND_AFTER_S)
    assert not await mirror.copy.visible(viewer, owner, Audience.FOLLOWERS)
    assert await mirror.copy.filter(viewer, [viewer, owner], Audience.EVERYONE) == [viewer]
    mirror.later = timedelta()
    async with mirror.kept():
        await until(lambda: _has_come(mirror, [done.reached, Reached(viewer, 3)]))
        await _agrees(mirror, [owner, viewer])


async def test_a_read_waits_a_moment_for_what_its_token_asks(mirror: Mirror) -> None:
    owner, viewer = [await mirror.people.person(open_=True) for _ in range(2)]
    async with mirror.kept():
        await _ready(mirror)
        seen = 0
        for _ in range(5):
            done = await mirror.flow.change(viewer, owner, rules.follow)
            calls.enter(Call("/a.B/C", "edge", consistency=(done.reached,)))
            seen += await mirror.copy.visible(viewer, owner, Audience.FOLLOWERS)
            gone = await mirror.flow.end(owner, viewer, rules.remove_follower)
            calls.enter(Call("/a.B/C", "edge", consistency=(gone.reached,)))
            assert not await mirror.copy.visible(viewer, owner, Audience.FOLLOWERS)
        assert seen


async def test_a_wait_ends_before_the_calls_deadline_does(mirror: Mirror) -> None:
    owner, viewer = [await mirror.people.person() for _ in range(2)]
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    calls.enter(Call("/a.B/C", "edge", deadline_s=begun_s + 0.1))
    ahead = Reached(viewer, 1 << 60)
    assert not await mirror.copy.visible(viewer, owner, Audience.EVERYONE, [ahead])
    assert loop.time() - begun_s < LONGEST_WAIT_S


async def test_a_lost_event_shows_nothing_to_whose_it_was_until_it_was_fetched(
    mirror: Mirror,
) -> None:
    owner, viewer, third = [await mirror.people.person(open_=True) for _ in range(3)]
    await mirror.flow.change(viewer, owner, rules.follow)
    async with mirror.kept():
        await _ready(mirror)
    await mirror.flow.change(owner, viewer, rules.block)
    await mirror.bus.publisher.run(_LOSE, {})
    await mirror.flow.change(viewer, third, rules.follow)
    async with mirror.kept():
        await until(lambda: _has_come(mirror, [Reached(viewer, 3)]))
        assert await mirror.bus.consumer.rows(_MISSING, {}) == [(viewer,)]
        assert await mirror.copy.filter(viewer, [owner, third], Audience.EVERYONE) == []
        assert await mirror.copy.visible(third, viewer, Audience.EVERYONE)
        await mirror.copying.catch_up()
        assert await mirror.bus.consumer.rows(_MISSING, {}) == []
        await _agrees(mirror, [owner, viewer, third])


async def test_a_lost_beat_shows_nothing_to_all_of_its_partition_until_all_was_fetched(
    mirror: Mirror,
) -> None:
    people = [await mirror.people.person(open_=True) for _ in range(6)]
    await _deeds(mirror, people, 20, seed=3)
    async with mirror.kept():
        await _ready(mirror)
    await _deeds(mirror, people, 20, seed=4)
    await mirror.flow.beat()
    await mirror.bus.publisher.run(_LOSE, {})
    await mirror.flow.beat()
    async with mirror.kept():
        await until(lambda: _all_behind(mirror))
        for viewer in people:
            assert await mirror.copy.filter(viewer, people, Audience.EVERYONE) == [viewer]
        await _ready(mirror)
        assert await mirror.bus.consumer.rows(_BEHIND, {}) == []
        await _agrees(mirror, people)


async def _all_behind(mirror: Mirror) -> bool:
    return len(await mirror.bus.consumer.rows(_BEHIND, {})) == len(beat_keys())


async def test_what_cannot_be_applied_shows_nothing_and_is_made_good(mirror: Mirror) -> None:
    owner, viewer = [await mirror.people.person(open_=True) for _ in range(2)]
    async with mirror.kept():
        await _ready(mirror)
    await mirror.flow.change(viewer, owner, rules.follow)
    broken = b"\x0a\x05users\x12\x05nobod"
    await mirror.bus.publisher.run(_BREAK, {"payload": broken, "key": key_of(viewer)})
    await mirror.bus.publisher.run(_BREAK, {"payload": broken, "key": key_of(owner)})
    async with mirror.kept():
        await until(lambda: _has_come(mirror, [Reached(viewer, 1), Reached(owner, 1)]))
        assert not await mirror.copy.visible(viewer, owner, Audience.EVERYONE)
        await mirror.copying.catch_up()
        await _agrees(mirror, [owner, viewer])


async def test_fetching_goes_on_where_a_killed_process_was(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_module, "COPIED_AT_ONCE", 2)
    people = [await mirror.people.person(open_=True) for _ in range(5)]
    await _deeds(mirror, people, 40, seed=5)
    async with mirror.kept():
        mirror.identity.fails_at = 4
        with pytest.raises(KilledError):
            await mirror.copying.catch_up()
        assert not await mirror.copy.visible(people[0], people[1], Audience.EVERYONE)
        await _deeds(mirror, people, 10, seed=6)
        await _ready(mirror)
        tokens = [each.page_token for each in mirror.identity.asked]
        assert tokens[4] == tokens[3]
        assert len(set(tokens)) == len(tokens) - 1, "no page is fetched twice but the lost one"
        reached = [Reached(user, version) for user, version in await _versions(mirror)]
        await until(lambda: _has_come(mirror, reached))
        await _agrees(mirror, people)


async def _versions(mirror: Mirror) -> list[tuple[uuid.UUID, int]]:
    return await mirror.flow.store.people_after(uuid.UUID(int=0), 100)


async def test_two_workers_and_each_message_twice_have_the_effect_of_one(mirror: Mirror) -> None:
    people = [await mirror.people.person(open_=True) for _ in range(4)]
    async with mirror.kept():
        await _ready(mirror)
        reached = await _deeds(mirror, people, 30, seed=7)
        await until(lambda: _has_come(mirror, reached))
        again = Statement(text("UPDATE outbox SET published_at = NULL"))
        await mirror.bus.publisher.run(again, {})
        more = await mirror.flow.change(people[0], people[1], rules.mute)
        await until(lambda: _has_come(mirror, [more.reached]))
        await _agrees(mirror, people)
        assert await mirror.bus.consumer.rows(_MISSING, {}) == []


async def test_of_who_was_erased_here_nothing_is_written_again(mirror: Mirror) -> None:
    erased, other = [await mirror.people.person(open_=True) for _ in range(2)]
    await mirror.flow.change(other, erased, rules.follow)
    await mirror.bus.consumer.run(MARK, {"of_user": erased})
    async with mirror.kept():
        await until(lambda: _has_come(mirror, [Reached(other, 1)]))
        await _ready(mirror)
        assert await mirror.bus.consumer.row(_ROWS, {}) == (0,)
        assert [user for user, _ in await mirror.bus.consumer.rows(_KNOWN, {})] == [other]


async def test_pairs_with_nothing_in_them_are_forgotten_when_nothing_older_can_come(
    mirror: Mirror,
) -> None:
    a, b = [await mirror.people.person() for _ in range(2)]
    async with mirror.kept():
        await _ready(mirror)
        await mirror.flow.change(a, b, rules.mute)
        done = await mirror.flow.end(a, b, rules.unmute)
        await until(lambda: _has_come(mirror, [done.reached]))
    await mirror.copying.forget()
    assert await mirror.bus.consumer.row(_ROWS, {}) == (2,)
    mirror.later = timedelta(days=3)
    await mirror.copying.forget()
    assert await mirror.bus.consumer.row(_ROWS, {}) == (0,)


async def test_a_list_of_a_services_own_shows_what_single_checks_show(mirror: Mirror) -> None:
    people = [await mirror.people.person(open_=True) for _ in range(5)]
    await _deeds(mirror, people, 50, seed=8)
    dice = random.Random(9)
    posts = [(number, dice.choice(people), dice.choice(ALL)) for number in range(50)]
    url = mirror.bus.stores.database_url("training")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE posts (number int, owner_id uuid, audience int)")
        for post in posts:
            await connection.execute("INSERT INTO posts VALUES (%s, %s, %s)", post)
    async with mirror.kept():
        await _ready(mirror)
    for viewer in (*people, None):
        shown = await mirror.bus.consumer.rows(_LIST, await mirror.copy.values(viewer))
        single = [
            (number,)
            for number, owner, audience in posts
            if await mirror.copy.visible(viewer, owner, audience)
        ]
        assert shown == single
        told = await mirror.copy.values(viewer, [Reached(people[0], 1 << 60)])
        shown = await mirror.bus.consumer.rows(_LIST, told)
        own = [(number,) for number, owner, _ in posts if owner == viewer]
        assert shown == (own if viewer else single)


def test_the_audiences_are_the_contracts() -> None:
    told = {each.name: each.number for each in AUDIENCE.values}
    assert {f"AUDIENCE_{each.name}": each.value for each in Audience} == told
    assert {each.name: each.value for each in IdentitysAudience} == {
        each.name: each.value for each in Audience
    }


def test_each_partition_has_a_beat_of_its_own() -> None:
    assert len(set(beat_keys())) == len(beat_keys()) == 8
    assert {feed_of(uuid.UUID(int=number)) for number in range(200)} == set(range(8))
    assert PUBLISHER == "identity"
