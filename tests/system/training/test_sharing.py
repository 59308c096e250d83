"""Other people's activities: who sees them, and what nobody sees of them."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from sqlalchemy import text

from mesh.runtime import pages
from mesh.runtime.consistency import Reached
from mesh.runtime.relations.feeds import feed_of
from mesh.runtime.relay import partition_of
from mesh.runtime.sql import Statement
from palestra.identity.v1.events_pb2 import SettingsChanged
from palestra.mesh.v1.event_pb2 import Event
from palestra.training.v1 import activity_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from palestra.training.v1.activity_pb2 import (
    ACTIVITY_AUDIENCE_CLOSE_FRIENDS,
    ACTIVITY_AUDIENCE_EVERYONE,
    ACTIVITY_AUDIENCE_FOLLOWERS,
    ACTIVITY_AUDIENCE_NOBODY,
)
from services.training.sharing.flow import CUT_AT_ONCE
from services.training.sharing.rules.shown import START_GRAIN_MS
from tests.support import replicas
from tests.support.grpc_errors import reason_of
from tests.support.made_tokens import Signer
from tests.support.owners import Owners
from tests.support.recorded_sessions import START_MS, Recorded
from tests.support.stores import Stores
from tests.support.tracker_line import batches, line, opening
from tests.support.training_athlete import Athlete, activities, athlete
from tests.support.training_worker import Worker, worker
from tests.support.viewers import Viewer, columns, within
from tests.support.ways import HOME, away_and_back, indoors
from tests.system.training.test_activities import finished, recorded
from tests.system.training.test_audiences import set_audience

EVERYONE, FOLLOWERS = ACTIVITY_AUDIENCE_EVERYONE, ACTIVITY_AUDIENCE_FOLLOWERS
CLOSE, NOBODY = ACTIVITY_AUDIENCE_CLOSE_FRIENDS, ACTIVITY_AUDIENCE_NOBODY
HOUR_MS = 3_600_000
CUT = "summary/1+shown/1"
"""The formula of figures of what is left of a track."""
_SHOWN = Statement(
    text("SELECT version, circles, message, json FROM shown_activities WHERE user_id = :user")
)
_TOLD = Statement(text("SELECT version FROM told_settings WHERE user_id = :user"))
_SILENT = Statement(text("UPDATE relations_feeds SET heard_at = :at WHERE feed = :feed"))


@pytest.fixture
def owners() -> Owners:
    return Owners(default=EVERYONE)


@pytest.fixture
async def one(
    folder: Path, stores: Stores, signer: Signer, owners: Owners
) -> AsyncIterator[Worker]:
    async with worker(folder, stores, signer, 1, others=owners.mesh) as made:
        await replicas.alive(made.database)
        yield made


@pytest.fixture
async def other(
    folder: Path, stores: Stores, signer: Signer, owners: Owners
) -> AsyncIterator[Worker]:
    async with worker(folder, stores, signer, 2, others=owners.mesh) as made:
        yield made


@pytest.fixture
def viewer(one: Worker, signer: Signer) -> Viewer:
    """A stranger."""
    return Viewer(one, athlete(signer))


async def hide(one: Worker, owners: Owners, owner: Athlete, *circles: Any) -> None:
    """The owner changes his zones, and training is told."""
    owners.zones[owner.id] = list(circles)
    owners.versions[owner.id] = owners.versions.get(owner.id, 0) + 1
    await tell(one, owner, owners.versions[owner.id])


async def tell(one: Worker, owner: Athlete, version: int) -> None:
    """`SettingsChanged` comes."""
    (handler,) = (each for each in one.parts.handlers if each.event is SettingsChanged)
    event = Event(key=f"users/{owner.id}/settings", key_version=version)
    async with one.database.transaction() as session:
        await handler.run(session, SettingsChanged(user=owner.name), event)


async def test_who_sees_what_is_what_relations_and_the_audience_say_by_every_way(
    one: Worker, runner: Athlete, signer: Signer
) -> None:
    sessions = {each: recorded(runner, int(each)) for each in (EVERYONE, FOLLOWERS, CLOSE, NOBODY)}
    await finished(one, list(sessions.values()))
    for audience, session in sessions.items():
        await set_audience(one, runner, session, audience)
    seen = {
        (): {EVERYONE},
        ("muted",): {EVERYONE},
        ("follows",): {EVERYONE, FOLLOWERS},
        ("close_friend",): {EVERYONE, FOLLOWERS, CLOSE},
        ("follows", "blocked"): set(),
    }
    for sides, expected in seen.items():
        viewer = Viewer(one, athlete(signer))
        await replicas.relate(one.database, viewer.person.id, runner.id, *sides)
        found = {
            audience for audience, session in sessions.items() if await viewer.sees(session, runner)
        }
        assert found == expected, sides
        owner = Viewer(one, runner)
        assert len(await owner.listed(runner)) == 4


async def test_what_one_may_not_see_is_as_what_never_was(
    one: Worker, runner: Athlete, viewer: Viewer, signer: Signer
) -> None:
    private, live = recorded(runner), recorded(runner)
    await finished(one, [private])
    await set_audience(one, runner, private, NOBODY)
    async with line(one.channel) as tracker:
        await tracker.send(opening(live), *batches(live))
        await tracker.until(lambda: any(each.acknowledged_seq == 2 for each in tracker.of(live)))
    deleted = recorded(runner)
    await finished(one, [deleted])
    await activities(one).DeleteActivity(
        pb.DeleteActivityRequest(name=deleted.activity), metadata=runner.metadata
    )
    nobody = athlete(signer)
    told = [
        await viewer.refusal(each)
        for each in (private, live, deleted, Recorded(runner.id), Recorded(nobody.id))
    ]
    assert told == [told[0]] * len(told)
    assert all("ACTIVITY_NOT_FOUND" in each for each in told[0])
    assert len(told[0]) == 1
    assert await viewer.listed(runner) == await viewer.listed(nobody) == []


async def test_where_the_copy_may_be_behind_the_answer_is_no(
    one: Worker, runner: Athlete, viewer: Viewer
) -> None:
    session = recorded(runner)
    await finished(one, [session])
    assert await viewer.sees(session, runner)
    await replicas.alive(one.database, for_s=-7)
    assert not await viewer.sees(session, runner)
    await replicas.alive(one.database)
    await replicas.behind(one.database, is_behind=True)
    assert not await viewer.sees(session, runner)
    assert await Viewer(one, runner).sees(session, runner)


async def test_a_block_is_in_the_next_read_of_whoever_sends_its_token(
    one: Worker, runner: Athlete, viewer: Viewer
) -> None:
    """And while a list is read: the page after it is empty."""
    sessions = [recorded(runner, day) for day in range(4)]
    await finished(one, sessions)
    first = await viewer.page(runner, page_size=2)
    assert len(first.activities) == 2
    await replicas.known(one.database, runner.id, 5)
    token = Reached(runner.id, 6).token
    asking = Viewer(one, viewer.person, (("x-palestra-consistency", token),))
    assert not await asking.sees(sessions[0], runner)
    # It comes while somebody waits for it.
    waiting = asyncio.create_task(asking.page(runner, page_size=2))
    await replicas.relate(one.database, viewer.person.id, runner.id, "blocked")
    await replicas.known(one.database, runner.id, 6)
    assert list((await waiting).activities) == []
    rest = await viewer.page(runner, page_size=2, page_token=first.next_page_token)
    assert (list(rest.activities), rest.next_page_token) == ([], "")


async def test_others_get_the_fields_that_are_named_here_and_no_more(
    one: Worker, runner: Athlete, viewer: Viewer
) -> None:
    session = away_and_back(runner.id)
    await finished(one, [session])
    whole = activity_pb2.Activity(name=session.activity, title="Lunch", notes="sore knee")
    await activities(one).UpdateActivity(
        pb.UpdateActivityRequest(activity=whole), metadata=runner.metadata
    )
    own = await Viewer(one, runner).get(session)
    seen = await viewer.get(session)
    assert {each.name for each, _ in seen.ListFields()} == {
        *("name", "state", "sport", "title", "start_time", "utc_offset_s", "summary")
    }
    assert seen.start_time.ToMilliseconds() == START_MS // START_GRAIN_MS * START_GRAIN_MS
    assert seen.summary.distance_m == own.summary.distance_m
    channels = {each.channel for each in seen.summary.channels}
    assert channels == {"SPEED", "DISTANCE", "ALTITUDE"}
    assert "HEART_RATE" in {each.channel for each in own.summary.channels}
    for answer in (seen, await viewer.json("GetActivity", pb.GetActivityRequest(name=own.name))):
        assert "sore knee" not in str(answer)
        assert "HeartRate" not in str(answer)
    streams = columns(await viewer.streams(session, resolution=0))
    assert set(streams) == {"SPEED", "DISTANCE", "LATITUDE", "LONGITUDE", "ALTITUDE"}
    assert columns(await viewer.streams(session, channels=["HEART_RATE", "Glucose"])) == {}


@pytest.mark.parametrize("seed", range(4))
async def test_no_place_within_a_zone_leaves_by_any_way(
    one: Worker, runner: Athlete, viewer: Viewer, owners: Owners, seed: int
) -> None:
    session = away_and_back(runner.id, seed)
    await finished(one, [session])
    before = await viewer.everything(session, runner)
    assert within(before, HOME) > 0, "nothing is tested"
    # Added later, it holds for what was recorded before, at once and in every process.
    await hide(one, owners, runner, HOME)
    seen: dict[str, Any] = {}
    for _ in range(2):
        seen = await viewer.everything(session, runner)
        assert within(seen, HOME) == 0
        assert seen["list"] == [seen["get"]]
        assert seen["list json"] == [seen["get json"]["activity"]]
    own = columns(await Viewer(one, runner).streams(session, resolution=0))
    assert len(own["LATITUDE"]) == len(session.rows)
    figures = seen["get"].summary
    assert figures.distance_m == pytest.approx(2 * 550, abs=12)
    assert figures.formula == CUT


async def test_what_was_done_within_a_zone_makes_no_difference_to_anything_that_is_told(
    one: Worker, runner: Athlete, viewer: Viewer, owners: Owners
) -> None:
    await hide(one, owners, runner, HOME)
    answers = []
    for seed in range(3):
        session = away_and_back(runner.id, seed, start_ms=START_MS + seed * 1_000)
        await finished(one, [session])
        found = await viewer.everything(session, runner)
        told = {
            way: (each.SerializeToString() if hasattr(each, "SerializeToString") else each)
            for way, each in found.items()
            if not way.startswith("list")
        }
        answers.append(repr(told).replace(str(session.id), ""))
    assert answers[0] == answers[1] == answers[2]


async def test_where_it_cannot_be_known_what_is_hidden_no_place_is_told(
    one: Worker, other: Worker, runner: Athlete, viewer: Viewer, owners: Owners
) -> None:
    session, rollers = away_and_back(runner.id), indoors(runner.id)
    await finished(one, [session, rollers])
    await hide(one, owners, runner, HOME)
    owners.away = True
    for at in (one, other):
        looking = Viewer(at, viewer.person)
        seen = await looking.get(session)
        assert not seen.HasField("summary")
        assert seen.sport == session.sport
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await looking.streams(session)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        # What has no places has nothing to hide.
        assert (await looking.get(rollers)).HasField("summary")
        assert columns(await looking.streams(rollers, resolution=0))["POWER"]
    owners.away = False
    assert (await viewer.get(session)).HasField("summary")


async def test_what_is_remembered_is_not_good_where_the_bus_may_be_silent(
    one: Worker, runner: Athlete, signer: Signer, owners: Owners
) -> None:
    feed = partition_of(f"users/{runner.id}/settings")
    person = athlete(signer)
    while feed_of(person.id) == feed:
        person = athlete(signer)
    viewer = Viewer(one, person)
    session = away_and_back(runner.id)
    await finished(one, [session])
    for _ in range(3):
        await viewer.get(session)
    assert owners.asked.count("GetPrivacyZones") == 1
    # That it changed is still under way, or will never come.
    owners.zones[runner.id] = [HOME]
    owners.versions[runner.id] = 1
    await one.database.run(_SILENT, {"at": datetime(2026, 1, 1, tzinfo=UTC), "feed": feed})
    assert (await viewer.get(session)).summary.formula == CUT


async def test_news_that_comes_late_or_twice_takes_nothing_back(
    one: Worker, runner: Athlete, viewer: Viewer, owners: Owners
) -> None:
    session = away_and_back(runner.id)
    await finished(one, [session])
    await viewer.get(session)
    owners.zones[runner.id], owners.versions[runner.id] = [HOME], 3
    for version in (3, 1, 2, 3):
        await tell(one, runner, version)
    assert await one.database.row(_TOLD, {"user": runner.id}) == (3,)
    seen = await viewer.everything(session, runner)
    assert within(seen, HOME) == 0


async def test_a_zone_that_comes_between_two_pages_is_kept_to_on_the_second(
    one: Worker, other: Worker, runner: Athlete, viewer: Viewer, owners: Owners
) -> None:
    sessions = [
        away_and_back(runner.id, seed, start_ms=START_MS + seed * HOUR_MS) for seed in range(4)
    ]
    await finished(one, sessions)
    first = await viewer.page(runner, page_size=2)
    await Viewer(other, viewer.person).page(runner, page_size=4)
    await hide(one, owners, runner, HOME)
    names = {each.name for each in first.activities}
    for at in (one, other):
        second = await Viewer(at, viewer.person).page(
            runner, page_size=2, page_token=first.next_page_token
        )
        formulas = [each.summary.formula for each in second.activities]
        assert formulas == [CUT] * 2
        assert names.isdisjoint(each.name for each in second.activities)


async def test_an_answer_of_before_never_replaces_what_is_known_since(
    one: Worker, runner: Athlete, viewer: Viewer, owners: Owners
) -> None:
    """Identity answered, slowly, as it was; then a zone was made and told of."""
    session = away_and_back(runner.id)
    await finished(one, [session])
    owners.holding = asyncio.Event()
    slow = asyncio.create_task(viewer.get(session))
    while "GetPrivacyZones" not in owners.asked:
        await asyncio.sleep(0.005)
    released, owners.holding = owners.holding, None
    await hide(one, owners, runner, HOME)
    assert (await viewer.get(session)).summary.formula == CUT
    released.set()
    await slow
    for _ in range(2):
        assert (await viewer.get(session)).summary.formula == CUT


async def test_pages_show_each_once_though_most_are_not_for_the_viewer(
    one: Worker, runner: Athlete, viewer: Viewer
) -> None:
    sessions = [recorded(runner, day, 1) for day in range(24)]
    await finished(one, sessions)
    for number, session in enumerate(sessions):
        if number % 3:
            await set_audience(one, runner, session, NOBODY)
    expected = [each.activity for each in reversed(sessions[::3])]
    assert await viewer.listed(runner, page_size=3) == expected
    assert await viewer.listed(runner, page_size=8) == expected
    assert await viewer.listed(runner, page_size=3, order_by="start_time") == expected[::-1]
    for session in sessions:
        await set_audience(one, runner, session, NOBODY)
    assert await viewer.listed(runner) == []


async def test_a_page_ends_where_more_would_have_to_be_cut_than_one_call_does(
    one: Worker, runner: Athlete, viewer: Viewer, owners: Owners
) -> None:
    await hide(one, owners, runner, HOME)
    sessions = [
        away_and_back(runner.id, seed, start_ms=START_MS + seed * HOUR_MS, out_m=680)
        for seed in range(CUT_AT_ONCE + 5)
    ]
    await finished(one, sessions)
    first = await viewer.page(runner, page_size=200)
    assert len(first.activities) == CUT_AT_ONCE
    assert all(each.HasField("summary") for each in first.activities)
    expected = [each.activity for each in reversed(sessions)]
    assert await viewer.listed(runner, page_size=200) == expected
    # Now all of it is kept.
    again = await viewer.page(runner, page_size=200)
    assert [each.name for each in again.activities] == expected


async def test_neither_a_filter_nor_a_token_tells_when_exactly_one_began(
    one: Worker, runner: Athlete, viewer: Viewer
) -> None:
    begins = [START_GRAIN_MS * (1_980_000 + number) + 123_456 for number in range(3)]
    sessions = [Recorded(runner.id, start_ms=each) for each in begins]
    for session in sessions:
        session.go_on(1)
    await finished(one, sessions)
    quarter = begins[1] // START_GRAIN_MS * START_GRAIN_MS

    def at(ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def names(condition: str) -> Sequence[str]:
        return await viewer.listed(runner, filter=condition)

    middle = [sessions[1].activity]
    assert await names(f'start_time = "{at(quarter)}"') == middle
    for within_ms in (1, 123_455, 123_456, 123_457, START_GRAIN_MS - 1):
        moment = at(quarter + within_ms)
        assert await names(f'start_time = "{moment}"') == []
        assert await names(f'start_time >= "{moment}"') == [sessions[2].activity]
        assert await names(f'start_time != "{moment}"') == [
            each.activity for each in reversed(sessions)
        ]
        assert set(await names(f'start_time <= "{moment}"')) == {
            sessions[0].activity,
            *middle,
        }
    assert middle[0] not in await names(f'start_time != "{at(quarter)}"')
    page = await viewer.page(runner, page_size=1)
    token = page.next_page_token
    decoded = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    assert decoded[1] == [str(sessions[2].id)]


@pytest.mark.parametrize("cursor", [[], ["x"], [1], ["a", "b"], [str(uuid.uuid4())]])
async def test_a_token_that_nobody_gave_is_refused(
    one: Worker, runner: Athlete, viewer: Viewer, cursor: list[Any]
) -> None:
    token = pages.token(f"{runner.name}\0\0", cursor)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await viewer.page(runner, page_token=token)
    assert reason_of(refused.value) == "PAGE_TOKEN_INVALID"


async def test_what_is_kept_for_the_next_goes_with_the_activity_and_with_a_change_of_it(
    one: Worker, other: Worker, runner: Athlete, viewer: Viewer
) -> None:
    session = recorded(runner)
    await finished(one, [session])
    # Many at once are the first.
    seen = await asyncio.gather(
        *(Viewer(at, viewer.person).get(session) for at in (one, other) for _ in range(5))
    )
    assert all(each == seen[0] for each in seen)
    assert len(await one.database.rows(_SHOWN, {"user": runner.id})) == 1
    renamed = activity_pb2.Activity(name=session.activity, title="Evening")
    await activities(one).UpdateActivity(
        pb.UpdateActivityRequest(activity=renamed), metadata=runner.metadata
    )
    assert (await viewer.get(session)).title == "Evening"
    await activities(one).DeleteActivity(
        pb.DeleteActivityRequest(name=session.activity), metadata=runner.metadata
    )
    assert not await viewer.sees(session, runner)
    assert await one.database.rows(_SHOWN, {"user": runner.id}) == []


async def test_what_is_closed_while_a_list_is_made_is_not_on_it(
    one: Worker,
    runner: Athlete,
    viewer: Viewer,
    owners: Owners,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was read as the viewer's, and is made anew, for the zones are others now."""
    sessions = [
        away_and_back(runner.id, seed, start_ms=START_MS + seed * HOUR_MS, out_m=680)
        for seed in range(3)
    ]
    await finished(one, sessions)
    assert len(await viewer.listed(runner)) == 3
    await hide(one, owners, runner, HOME)
    store = one.activities._sharing.store
    listed = store.listed

    async def then_closed(*told: Any, **more: Any) -> Any:
        rows = await listed(*told, **more)
        await set_audience(one, runner, sessions[1], NOBODY)
        return rows

    monkeypatch.setattr(store, "listed", then_closed)
    found = await viewer.listed(runner)
    assert found == [sessions[2].activity, sessions[0].activity]
