"""What people make of each other, when they all do it at once, on the real database."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import func, select, text

from mesh.runtime.blobs import Blobs, BlobSettings
from mesh.runtime.consistency import Reached
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import user_id
from mesh.runtime.sql import Statement
from mesh.runtime.subjects import Reach, Subjects
from mesh.runtime.subjects.whole import MARK
from services.identity.profiles.rules import UserNotFound
from services.identity.relations import rules
from services.identity.relations.flow import Done, Kind, RelationFlow
from services.identity.relations.rules import KEPT_EMPTY, Counts, Pair
from services.identity.relations.subjects import SUBJECTS
from services.identity.tables.relations import RELATION_PAIRS, RELATION_PEOPLE
from services.identity.visibility.rules import Audience, Standing
from tests.support.relation_people import People
from tests.support.told_counters import Bus

_ROWS = Statement(select(func.count()).select_from(RELATION_PAIRS))
_FULL = Statement(
    text("UPDATE relation_people SET following = :following, blocks = :blocks WHERE user_id = :of")
)
_PEOPLE = Statement(select(RELATION_PEOPLE.c.user_id, RELATION_PEOPLE.c.version))


@pytest_asyncio.fixture
async def people(bus: Bus) -> AsyncIterator[People]:
    yield People(bus.publisher)


async def _both_agree(people: People, a: uuid.UUID, b: uuid.UUID) -> Pair:
    """A pair, that its two rows and the last events of both tell alike."""
    store = people.flow().store
    pair, turned = await store.pair(a, b), await store.pair(b, a)
    assert pair is not None
    assert turned is not None
    assert turned == pair.turned()
    told = await people.told()
    for one, each in ((a, pair), (b, turned)):
        versions = told.get(f"users/{one}/relations", [])
        assert [version for version, _ in versions] == list(range(1, len(versions) + 1))
        if versions:
            _, last = versions[-1]
            assert last.outgoing.follows == (each.mine.followed_at is not None)
            assert last.outgoing.requests == (each.mine.requested_at is not None)
            assert last.outgoing.blocks == (each.mine.blocked_at is not None)
            assert last.incoming.follows == (each.theirs.followed_at is not None)
            assert last.incoming.blocks == (each.theirs.blocked_at is not None)
            assert last.incoming.close_friend == (each.theirs.close_at is not None)
    return pair


def _counts_of(pair: Pair) -> Counts:
    return Counts().after(Pair(), pair)


@pytest.mark.parametrize(
    ("names", "survives"),
    [
        (("follow", "block_back"), "block"),
        (("follow", "follow"), "follow"),
        (("approve_back", "block"), "block"),
        (("block", "block_back"), "both blocks"),
        (("follow", "unfollow", "block_back", "unblock_back", "close_back"), "anything"),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
async def test_fifty_deeds_at_once_leave_no_following_beside_a_block(
    people: People, names: tuple[str, ...], survives: str, seed: int
) -> None:
    a, b = await people.person(), await people.person(open_="approve_back" not in names)
    workers = [people.flow(), people.flow()]
    if "approve_back" in names:
        await workers[0].change(a, b, rules.follow)
    dice = random.Random(seed)
    deeds = [names[number % len(names)] for number in range(50)]
    dice.shuffle(deeds)
    await asyncio.gather(
        *(_do(workers[number % 2], deed, a, b) for number, deed in enumerate(deeds))
    )
    pair = await _both_agree(people, a, b)
    assert (
        not pair.blocked
        or (
            pair.mine.followed_at,
            pair.mine.requested_at,
            pair.mine.close_at,
            pair.theirs.followed_at,
            pair.theirs.requested_at,
            pair.theirs.close_at,
        )
        == (None,) * 6
    )
    if survives == "block":
        assert pair.blocked
    elif survives == "both blocks":
        assert pair.mine.blocked_at is not None
        assert pair.theirs.blocked_at is not None
    elif survives == "follow":
        assert pair.mine.followed_at is not None
    for one, each in ((a, pair), (b, pair.turned())):
        assert (await workers[0].person(one)).counts == _counts_of(each)


async def _do(flow: RelationFlow, deed: str, a: uuid.UUID, b: uuid.UUID) -> None:
    """One deed; what is refused because another came first is no failure."""
    name, back, _ = deed.partition("_back")
    me, other = (b, a) if back else (a, b)
    rule = {"close": rules.add_close_friend}.get(name) or getattr(rules, name)
    with suppress(UserNotFound, rules.PersonBlocked, rules.FollowRequestNotFound):
        await flow.change(me, other, rule)


async def test_each_change_is_told_once_to_either_and_a_repeat_changes_nothing(
    people: People,
) -> None:
    a, b = await people.person(), await people.person(open_=True)
    flow = people.flow()
    first = await flow.change(a, b, rules.follow)
    people.at += timedelta(hours=1)
    again = await flow.change(a, b, rules.follow)
    assert again == first
    assert first.reached == Reached(a, 1)
    told = await people.told()
    assert {key: len(events) for key, events in told.items()} == {
        f"users/{a}/relations": 1,
        f"users/{b}/relations": 1,
    }


async def test_who_wants_to_be_asked_is_asked_and_it_is_so_for_who_said_nothing(
    people: People,
) -> None:
    a, b = await people.person(), await people.person()
    flow = people.flow()
    asked = await flow.change(a, b, rules.follow)
    assert asked.pair.mine.requested_at is not None
    assert await flow.between(a, b) is Standing.REQUESTED
    assert not await flow.visible(a, b, Audience.FOLLOWERS)
    await flow.change(b, a, rules.approve)
    assert await flow.between(a, b) is Standing.FOLLOWER
    assert await flow.visible(a, b, Audience.FOLLOWERS)
    assert not await flow.visible(b, a, Audience.FOLLOWERS)
    await flow.end(b, a, rules.remove_follower)
    assert await flow.between(a, b) is Standing.STRANGER
    with pytest.raises(rules.FollowRequestNotFound):
        await flow.change(b, a, rules.approve)


async def test_who_asked_follows_at_the_next_try_when_nobody_needs_to_ask_any_more(
    people: People,
) -> None:
    a, b = await people.person(), await people.person()
    flow = people.flow()
    await flow.change(a, b, rules.follow)
    await flow.set_approval(b, approval=False)
    done = await flow.change(a, b, rules.follow)
    assert done.pair.mine.followed_at is not None
    assert done.pair.mine.requested_at is None
    assert (await flow.person(b)).counts == Counts(followers=1)


async def test_who_is_blocked_hears_what_he_would_hear_of_nobody(people: People) -> None:
    a, b, nobody = await people.person(), await people.person(open_=True), user_id(7)
    flow = people.flow()
    await flow.change(b, a, rules.block)
    for other in (b, nobody):
        for rule in (rules.follow, rules.add_close_friend, rules.mute):
            with pytest.raises(UserNotFound):
                await flow.change(a, other, rule)
        with pytest.raises(UserNotFound):
            await flow.relation(a, other)
        for ends in (rules.unfollow, rules.remove_follower, rules.decline, rules.unmute):
            assert (await flow.end(a, other, ends)).pair.mine == rules.Side()
        assert not await flow.visible(a, other, Audience.EVERYONE)
    with pytest.raises(rules.PersonBlocked):
        await flow.change(b, a, rules.follow)


async def test_a_block_ends_following_both_ways_and_unblocking_brings_nothing_back(
    people: People,
) -> None:
    a, b = await people.person(open_=True), await people.person(open_=True)
    flow = people.flow()
    for me, other in ((a, b), (b, a)):
        await flow.change(me, other, rules.follow)
        await flow.change(me, other, rules.add_close_friend)
    await flow.change(a, b, rules.block)
    for viewer, owner in ((a, b), (b, a)):
        assert await flow.between(viewer, owner) is Standing.BLOCKED
        assert await flow.filter(viewer, [owner, viewer], Audience.EVERYONE) == [viewer]
    await flow.end(a, b, rules.unblock)
    assert (await _both_agree(people, a, b)).empty
    assert (await flow.person(a)).counts == Counts()


async def test_nobody_relates_to_himself_nor_to_who_never_was(people: People) -> None:
    a = await people.person()
    flow = people.flow()
    for rule in (rules.follow, rules.block, rules.add_close_friend, rules.mute):
        with pytest.raises(rules.RelationToSelf):
            await flow.change(a, a, rule)
        with pytest.raises(UserNotFound):
            await flow.change(a, user_id(7), rule)
    assert await people.database.row(_ROWS, {}) == (0,)
    assert [user for user, _ in await people.database.rows(_PEOPLE, {})] == [a]


async def test_bounds_hold_for_many_at_once(people: People) -> None:
    a = await people.person()
    others = [await people.person(open_=True) for _ in range(10)]
    flow, twin = people.flow(), people.flow()
    await flow.change(a, others[0], rules.follow)
    await people.database.run(_FULL, {"of": a, "following": rules.MOST_FOLLOWING - 3, "blocks": 0})
    done = await asyncio.gather(
        *(
            (flow, twin)[number % 2].change(a, other, rules.follow)
            for number, other in enumerate(others[1:])
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Done) for each in done) == 3
    assert all(isinstance(each, Done | rules.TooManyRelations) for each in done)
    await people.database.run(_FULL, {"of": a, "following": 4, "blocks": rules.MOST_BLOCKS})
    with pytest.raises(rules.TooManyRelations):
        await flow.change(a, others[0], rules.block)


async def test_a_mute_hides_from_lists_only_and_ends_by_itself(people: People) -> None:
    a, b = await people.person(), await people.person()
    flow = people.flow()
    await flow.mute(a, b, people.at + timedelta(hours=1))
    assert await flow.visible(a, b, Audience.EVERYONE)
    assert await flow.filter(a, [b], Audience.EVERYONE, unmuted=True) == []
    assert await flow.filter(b, [a], Audience.EVERYONE, unmuted=True) == [a]
    people.at += timedelta(hours=1)
    assert await flow.filter(a, [b], Audience.EVERYONE, unmuted=True) == [b]
    with pytest.raises(MeshError, match="passed"):
        await flow.mute(a, b, people.at)


@pytest.mark.parametrize("kind", [Kind.FOLLOWING, Kind.FOLLOWERS, Kind.REQUESTS, Kind.BLOCKS])
async def test_lists_page_through_everyone_once_even_of_one_instant(
    people: People, kind: Kind
) -> None:
    me = await people.person(open_=kind is Kind.FOLLOWERS)
    others = [await people.person(open_=True) for _ in range(7)]
    flow = people.flow()
    for number, other in enumerate(others):
        people.at += timedelta(seconds=number % 2)
        if kind in (Kind.FOLLOWERS, Kind.REQUESTS):
            await flow.change(other, me, rules.follow)
        else:
            rule: Callable[..., Pair] = rules.follow if kind is Kind.FOLLOWING else rules.block
            await flow.change(me, other, rule)
    seen, place, more = [], None, True
    while more:
        rows, more = await flow.listed(me, kind, place, 2)
        seen += [row.other for row in rows]
        place = kind.since(rows[-1].pair), rows[-1].other
    assert len(seen) == len(others)
    assert set(seen) == set(others)
    assert seen[0] in others[5:]
    assert kind.count((await flow.person(me)).counts) == len(others)


async def test_whoever_is_erased_is_nobody_to_everyone_also_where_erasing_was_cut_off(
    people: People, tmp_path: Path
) -> None:
    a = await people.person(open_=True)
    fans = [await people.person(open_=True) for _ in range(3)]
    flow = people.flow()
    for fan in fans:
        await flow.change(fan, a, rules.follow)
        await flow.change(a, fan, rules.follow)
    blobs = Blobs("identity", BlobSettings(tmp_path / "keys.json", f"file://{tmp_path}/blobs"))
    reach = Reach("identity", people.database, blobs)
    await people.database.run(MARK, {"of_user": a})
    async with people.database.transaction() as session:
        assert await SUBJECTS[0].erase(reach, session, a, 2) == {}
    async with people.database.transaction() as session:
        assert await SUBJECTS[1].erase(reach, session, a, 2) == {"relation_pairs": 2}
    # Killed here: half of them are gone.
    with pytest.raises(UserNotFound):
        await flow.change(fans[0], a, rules.block)
    assert not await flow.visible(fans[0], a, Audience.EVERYONE)
    erased, done = await Subjects(reach, SUBJECTS).erase(a, 5)
    assert done
    # What the cut call erased was not counted by it: here it did so by hand.
    assert {each.table: each.count for each in erased} == {
        "relation_pairs": 1,
        "relation_people": 1,
    }
    for fan in fans:
        assert (await flow.person(fan)).counts == Counts()
        versions = (await people.told())[f"users/{fan}/relations"]
        assert [version for version, _ in versions] == [1, 2, 3]
        assert not versions[-1][1].outgoing.follows
        assert not versions[-1][1].incoming.follows
    assert await people.database.row(_ROWS, {}) == (0,)
    for rule in (rules.follow, rules.block, rules.mute):
        with pytest.raises(UserNotFound):
            await flow.change(fans[0], a, rule)


async def test_a_following_that_meets_an_erasure_leaves_nothing(
    people: People, tmp_path: Path
) -> None:
    a = await people.person(open_=True)
    fans = [await people.person(open_=True) for _ in range(20)]
    blobs = Blobs("identity", BlobSettings(tmp_path / "keys.json", f"file://{tmp_path}/blobs"))
    subjects = Subjects(Reach("identity", people.database, blobs), SUBJECTS)
    flows = [people.flow(), people.flow()]
    work = [flows[number % 2].change(fan, a, rules.follow) for number, fan in enumerate(fans)]
    done, *outcomes = await asyncio.gather(subjects.erase(a, 10), *work, return_exceptions=True)
    assert not isinstance(done, BaseException), done
    assert all(isinstance(each, Done | UserNotFound) for each in outcomes), outcomes
    assert await people.database.row(_ROWS, {}) == (0,)
    for fan in fans:
        assert (await flows[0].person(fan)).counts == Counts()


async def test_a_person_is_given_what_he_made_and_not_what_others_keep_from_him(
    people: People, tmp_path: Path
) -> None:
    a, b, c = [await people.person(open_=True) for _ in range(3)]
    flow = people.flow()
    await flow.change(b, a, rules.block)
    await flow.change(c, a, rules.follow)
    await flow.change(c, a, rules.add_close_friend)
    await flow.change(a, c, rules.block)
    await flow.end(a, c, rules.unblock)
    await flow.change(c, a, rules.mute)
    await flow.change(a, c, rules.follow)
    blobs = Blobs("identity", BlobSettings(tmp_path / "keys.json", f"file://{tmp_path}/blobs"))
    reach = Reach("identity", people.database, blobs)
    lines = [json.loads(piece.content) async for piece in SUBJECTS[1].export(reach, a, "")]
    assert [set(line) for line in lines] == [{"other", "followed_at"}]
    assert lines[0]["other"] == str(c)


async def test_pairs_with_nothing_in_them_are_dropped_when_everyone_has_heard(
    people: People,
) -> None:
    a, b = await people.person(), await people.person()
    flow = people.flow()
    await flow.change(a, b, rules.block)
    await flow.end(a, b, rules.unblock)
    await flow.forget()
    assert await people.database.row(_ROWS, {}) == (2,)
    people.at += KEPT_EMPTY + timedelta(seconds=1)
    await flow.forget()
    assert await people.database.row(_ROWS, {}) == (0,)


async def test_the_database_itself_refuses_a_following_beside_a_block(people: People) -> None:
    a, b = await people.person(), await people.person()
    flow = people.flow()
    await flow.change(a, b, rules.block)

    def wrong(_me: object, _other: object, pair: Pair, at: datetime) -> Pair:
        return Pair(pair.mine, rules.Side(followed_at=at))

    with pytest.raises(Exception, match="relation_pairs_blocked"):
        await flow.change(a, b, wrong)
    assert (await _both_agree(people, a, b)).theirs.followed_at is None


async def test_a_version_that_identity_has_not_come_to_sees_nothing(people: People) -> None:
    a, b = await people.person(), await people.person()
    flow = people.flow()
    done = await flow.change(a, b, rules.mute)
    assert await flow.visible(a, b, Audience.EVERYONE, [done.reached])
    ahead = done.reached._replace(version=done.reached.version + 1)
    assert not await flow.visible(a, b, Audience.EVERYONE, [ahead])
