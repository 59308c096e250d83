"""Answers whose JSON the service writes are those that the edge would write."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from palestra.training.v1 import activity_service_pb2 as pb
from palestra.training.v1.activity_service_pb2_grpc import ActivityServiceStub
from palestra_watch.sources.simulate import simulate
from tests.support import workloads
from tests.support.athletes import Athlete, Club
from tests.support.live_run import live_run
from tests.support.local_stack import until
from tests.support.rest_errors import refusal
from tests.support.watches import Watch

START_MS = 1_790_000_000_000
LIST = "users/me/activities"


@pytest.fixture(scope="module")
def vera(athletes: Club, tmp_path_factory: pytest.TempPathFactory) -> Athlete:
    """Somebody with three finished workouts, the first with a title."""
    athlete = athletes.register()
    watch = Watch(athlete, tmp_path_factory.mktemp("watch"))
    for day, seconds in enumerate((300, 0, 120)):
        workout = simulate("running", max(seconds, 1), day, START_MS + day * 86_400_000)
        asyncio.run(watch.send(workout))
    first = names(athlete)[-1]
    titled = athlete.rest.patch(f"/v1/{first}", json={"title": 'Утро "у реки" \u2028 \U0001f3c3'})
    assert titled.status_code == 200, titled.text
    return athlete


def names(athlete: Athlete) -> list[str]:
    return [each["name"] for each in athlete.get(LIST)["activities"]]


def count(athlete: Athlete, activity: str) -> str:
    found: str = athlete.get(activity)["activity"]["sampleCount"]
    return found


def test_one_by_itself_in_a_list_and_as_the_edge_writes_it_are_the_same(vera: Athlete) -> None:
    listed = vera.get(LIST)["activities"]
    assert len(listed) == 3
    for each in listed:
        assert vera.get(each["name"]) == {"activity": each}
        # An update that changes nothing answers with the activity, written by the edge.
        answer = vera.rest.patch(f"/v1/{each['name']}", json={"title": each["title"]})
        assert answer.json() == {"activity": each}
        assert list(answer.json()["activity"]) == list(each)


async def test_it_is_the_json_of_what_grpc_callers_get(vera: Athlete) -> None:
    channel = workloads.through_the_edge(vera.stack)
    # Whoever says that he came by REST did not.
    metadata = (*vera.metadata, ("x-envoy-original-path", "/v1/users/me/activities"))
    answer = await ActivityServiceStub(channel).ListActivities(
        pb.ListActivitiesRequest(parent="users/me", page_size=2), metadata=metadata
    )
    await channel.close(None)
    assert isinstance(answer, pb.ListActivitiesResponse)
    told = json_format.MessageToDict(answer, always_print_fields_with_no_presence=True)
    assert await asyncio.to_thread(vera.get, LIST, pageSize=2) == told
    assert told["nextPageToken"]


def test_a_read_mask_shows_what_it_names_and_nothing_else(vera: Athlete) -> None:
    name = names(vera)[0]
    whole = vera.get(name)["activity"]
    wanted = {"notes": "", "sampleCount": whole["sampleCount"]}
    assert vera.get(name, readMask="notes,sampleCount") == {"activity": wanted}
    page = vera.get(LIST, readMask="notes,sampleCount", pageSize=1)
    assert page["activities"] == [wanted]
    assert refusal(vera.rest.get(f"/v1/{name}", params={"readMask": "shoeSize"}))[0] == 400


async def test_a_read_mask_over_grpc_is_as_before(vera: Athlete) -> None:
    channel = workloads.through_the_edge(vera.stack)
    (name, *_) = await asyncio.to_thread(names, vera)
    answer = await ActivityServiceStub(channel).GetActivity(
        pb.GetActivityRequest(name=name, read_mask=FieldMask(paths=["sample_count"])),
        metadata=vera.metadata,
    )
    await channel.close(None)
    assert [field.name for field, _ in answer.activity.ListFields()] == ["sample_count"]


def test_a_list_without_activities_is_an_empty_list(athlete: Athlete) -> None:
    assert athlete.get(LIST) == {"activities": [], "nextPageToken": ""}


async def test_a_live_activity_has_its_count_of_now_in_both(athlete: Athlete) -> None:
    async with live_run(athlete) as run:
        for second in range(3):
            await run.second(100 + second, 3.0, 55.75, 37.61)
        await asyncio.to_thread(until, lambda: count(athlete, run.activity) == "3", 10, "durable")
        one = (await asyncio.to_thread(athlete.get, run.activity))["activity"]
        (same,) = (await asyncio.to_thread(athlete.get, LIST))["activities"]
        assert one == same
        assert one["state"] == "ACTIVITY_STATE_LIVE"
        await run.close()


def test_rows_from_before_the_form_was_kept_are_written_as_they_are_read(vera: Athlete) -> None:
    before = vera.get(LIST)
    with vera.stack.database() as database:
        database.execute(
            "UPDATE training.activities SET json = NULL WHERE user_id = %s",
            [vera.user.removeprefix("users/")],
        )
    assert vera.get(LIST) == before
    assert vera.get(before["activities"][0]["name"]) == {"activity": before["activities"][0]}
    # The next change keeps it again.
    name = before["activities"][0]["name"]
    changed = vera.rest.patch(f"/v1/{name}", json={"notes": "wet"}).json()
    assert vera.get(name) == changed
