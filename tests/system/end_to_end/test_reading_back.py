"""What the server made of a workout, as an app reads, corrects and deletes it over REST."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from palestra_watch.sources.simulate import simulate
from tests.support.athletes import Athlete, Club
from tests.support.local_stack import until
from tests.support.rest_errors import refusal
from tests.support.watches import Sent, Watch

START_MS = 1_790_000_000_000
DAY_MS = 86_400_000
WORKOUTS = (("running", 600), ("cycling", 400), ("running", 200))
"""Sport and seconds, a day apart."""


@pytest.fixture(scope="module")
def sent(athletes: Club, tmp_path_factory: pytest.TempPathFactory) -> list[Sent]:
    """Three workouts of one athlete, finished; none of these tests changes them."""
    return asyncio.run(_send(athletes.register("Anna"), tmp_path_factory.mktemp("watch")))


async def _send(athlete: Athlete, folder: Path) -> list[Sent]:
    watch = Watch(athlete, folder)
    return [
        await watch.send(simulate(sport, seconds, day, START_MS + day * DAY_MS))
        for day, (sport, seconds) in enumerate(WORKOUTS)
    ]


def listed(athlete: Athlete, **query: Any) -> list[str]:
    """The names of one page of activities."""
    return [each["name"] for each in athlete.get("users/me/activities", **query)["activities"]]


async def test_stored_samples_equal_the_watches_ledger_over_rest_and_grpc(
    sent: list[Sent],
) -> None:
    for each in sent:
        assert each.report.whole
        assert len(each.samples.measured) == each.report.samples
        assert await each.differences() == []


def test_an_activity_is_read_under_its_name_and_under_me(sent: list[Sent]) -> None:
    first = sent[0]
    name = first.report.activity
    assert name.startswith(f"{first.athlete.user}/activities/")
    answer = first.athlete.get(name)
    assert list(answer) == ["activity"]
    activity = answer["activity"]
    assert activity["name"] == name
    assert activity["state"] == "ACTIVITY_STATE_FINISHED"
    assert activity["sport"] == "SPORT_RUNNING"
    started = datetime.fromisoformat(activity["startTime"])
    assert started == datetime.fromtimestamp(START_MS / 1000, UTC)
    assert activity["sampleCount"] == str(first.report.samples)
    times = [time_ms for time_ms, _ in first.samples.rows]
    assert activity["summary"]["elapsedS"] == (times[-1] - times[0]) / 1000
    assert activity["summary"]["distanceM"] == activity["deviceSummary"]["distanceM"]
    mine = first.athlete.get(name.replace(first.athlete.user, "users/me"))
    assert mine == answer


def test_streams_are_thinned_to_a_thousand_points_unless_asked_otherwise(
    sent: list[Sent],
) -> None:
    first = sent[0]
    path = f"{first.report.activity}/streams"
    usual = first.athlete.get(path)
    assert sorted(usual) == ["channels", "timeMs"]
    assert len(usual["timeMs"]) == 1000
    every = first.athlete.get(path, resolution=0)
    assert len(every["timeMs"]) == first.report.samples
    few = first.athlete.get(path, resolution=50)
    assert len(few["timeMs"]) == 50
    for name, values in every["channels"].items():
        assert len(values) == first.report.samples
        known = [value for value in values if value is not None]
        kept = [value for value in usual["channels"][name] if value is not None]
        assert (min(kept), max(kept)) == (min(known), max(known))
    assert None in every["channels"]["HEART_RATE"], "beats between seconds leave gaps"


def test_streams_of_chosen_channels_leave_out_rows_that_others_made(sent: list[Sent]) -> None:
    path = f"{sent[0].report.activity}/streams"
    found = sent[0].athlete.get(path, channels=["HEART_RATE", "POWER"], resolution=0)
    assert list(found["channels"]) == ["HEART_RATE", "POWER"]
    assert found["timeMs"] == [second * 1000 for second in range(600)]
    assert None not in found["channels"]["HEART_RATE"]


def test_lists_are_newest_first_paged_filtered_and_ordered(sent: list[Sent]) -> None:
    athlete = sent[0].athlete
    oldest_first = [each.report.activity for each in sent]
    assert listed(athlete) == oldest_first[::-1]
    assert listed(athlete, orderBy="start_time") == oldest_first
    pages = []
    token = ""
    for _ in sent:
        page = athlete.get("users/me/activities", pageSize=1, pageToken=token)
        pages += [each["name"] for each in page["activities"]]
        token = page["nextPageToken"]
    assert (pages, token) == (oldest_first[::-1], "")
    assert listed(athlete, filter="sport = SPORT_CYCLING") == [oldest_first[1]]
    since = datetime.fromtimestamp((START_MS + DAY_MS) / 1000, UTC).isoformat()
    assert listed(athlete, filter=f'start_time >= "{since}"') == oldest_first[:0:-1]
    masked = athlete.get("users/me/activities", readMask="name", pageSize=1)["activities"][0]
    assert masked["name"] == oldest_first[-1]
    assert "summary" not in masked


def test_a_page_token_of_another_list_is_refused(sent: list[Sent]) -> None:
    athlete = sent[0].athlete
    token = athlete.get("users/me/activities", pageSize=1)["nextPageToken"]
    query = {"pageSize": 1, "pageToken": token, "filter": "sport = SPORT_CYCLING"}
    answer = athlete.rest.get("/v1/users/me/activities", params=query)
    assert refusal(answer) == (400, "INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


def test_progress_adds_up_what_was_done(sent: list[Sent]) -> None:
    athlete = sent[0].athlete
    summaries = [athlete.get(each.report.activity)["activity"]["summary"] for each in sent]

    def totals() -> list[dict[str, Any]]:
        query = {"period": "PERIOD_YEAR"}
        found: list[dict[str, Any]] = athlete.get("users/me/progress", **query)["progress"][
            "totals"
        ]
        return found

    until(lambda: sum(int(each["activityCount"]) for each in totals()) == 3, 10, "all counts")
    by_sport = {each["sport"]: each for each in totals()}
    running = by_sport["SPORT_RUNNING"]
    assert (running["activityCount"], by_sport["SPORT_CYCLING"]["activityCount"]) == ("2", "1")
    distance_m = summaries[0]["distanceM"] + summaries[2]["distanceM"]
    assert running["distanceM"] == pytest.approx(distance_m, abs=0.001)
    assert running["startDate"] == {"year": 2026, "month": 1, "day": 1}


def test_a_corrected_and_a_deleted_activity_count_anew(athlete: Athlete, tmp_path: Path) -> None:
    done = asyncio.run(Watch(athlete, tmp_path).send(simulate("running", 60, 1, START_MS)))
    path = f"/v1/{done.report.activity}"

    def sports() -> list[str]:
        totals = athlete.get("users/me/progress")["progress"]["totals"]
        return [each["sport"] for each in totals]

    until(lambda: sports() == ["SPORT_RUNNING"], 10, "it counts")
    etag = athlete.get(done.report.activity)["activity"]["etag"]
    changed = athlete.rest.patch(
        path,
        params={"updateMask": "title,sport"},
        json={"title": "By bicycle", "sport": "SPORT_CYCLING", "etag": etag},
    )
    assert changed.status_code == httpx.codes.OK, changed.text
    assert changed.json()["activity"]["title"] == "By bicycle"
    assert changed.json()["activity"]["etag"] != etag
    stale = athlete.rest.patch(path, json={"title": "Late", "etag": etag})
    assert refusal(stale) == (409, "ABORTED", "ETAG_MISMATCH")
    until(lambda: sports() == ["SPORT_CYCLING"], 10, "it counts for the other sport")
    for _ in range(2):
        assert athlete.rest.delete(path).status_code == httpx.codes.OK
    assert refusal(athlete.rest.get(path)) == (404, "NOT_FOUND", "ACTIVITY_NOT_FOUND")
    assert athlete.get("users/me/activities")["activities"] == []
    until(lambda: sports() == [], 10, "it counts no more")


def test_a_device_is_registered_once_however_often_it_is_asked(athlete: Athlete) -> None:
    query = {"requestId": str(uuid.uuid4())}
    device = {"displayName": "My watch", "kind": "DEVICE_KIND_WATCH", "model": "Kiprun 900"}
    path = f"/v1/{athlete.user}/devices"
    first, again = (athlete.rest.post(path, params=query, json=device) for _ in range(2))
    assert first.status_code == httpx.codes.OK, first.text
    assert again.json() == first.json()
    name = first.json()["device"]["name"]
    assert name.startswith(f"{athlete.user}/devices/")
    other = athlete.rest.post(path, params=query, json=device | {"displayName": "Other"})
    assert refusal(other)[2] == "REQUEST_ID_REUSED"
    assert [each["name"] for each in athlete.get("users/me/devices")["devices"]] == [name]
    assert athlete.rest.delete(f"/v1/{name}").status_code == httpx.codes.OK
    assert athlete.get("users/me/devices")["devices"] == []


def test_a_profile_is_changed_by_its_owner_and_shows_others_the_card(
    athlete: Athlete, athletes: Club
) -> None:
    mine = athlete.get("users/me")["profile"]
    assert mine["displayName"] == "Vera"
    other = athletes.register("Boris")
    seen = other.get(athlete.user)["profile"]
    assert {name for name, value in seen.items() if value and value == mine.get(name)} == {
        "name",
        "displayName",
        "sex",
    }
    assert seen["sex"] == "SEX_UNSPECIFIED"
    answer = other.rest.patch(f"/v1/{athlete.user}", json={"displayName": "Boris too"})
    assert refusal(answer) == (403, "PERMISSION_DENIED", "NOT_OWNER")
