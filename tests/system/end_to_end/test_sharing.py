"""Somebody shares his runs and hides his home: through the real mesh, identity and bus."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from palestra.identity.v1.privacy_zone_service_pb2 import Circle
from palestra_watch.sources.simulate import simulate
from tests.support.athletes import Athlete, Club
from tests.support.local_stack import until
from tests.support.rest_errors import refusal
from tests.support.watches import Watch
from tests.support.ways import places_within

START_MS = 1_790_000_000_000
RADIUS_M = 100
PATIENCE_S = 15.0


def _done(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == httpx.codes.OK, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _followed(owner: Athlete, follower: Athlete) -> str:
    _done(follower.rest.post("/v1/users/me/following", json={"user": owner.user}))
    path = f"/v1/users/me/followRequests/{follower.user.removeprefix('users/')}:approve"
    token: str = _done(owner.rest.post(path, json={}))["consistencyToken"]
    return token


@pytest.fixture
def owner(athletes: Club) -> Athlete:
    """Somebody whose runs are for his followers."""
    found = athletes.register("Olga")
    settings = {"defaultActivityAudience": "AUDIENCE_FOLLOWERS"}
    _done(found.rest.patch("/v1/users/me/settings", json=settings))
    return found


def test_runs_are_for_followers_without_the_home_until_one_is_blocked(
    owner: Athlete, athletes: Club, tmp_path: Path
) -> None:
    run = asyncio.run(Watch(owner, tmp_path).send(simulate("running", 900, 1, START_MS)))
    name = run.report.activity
    assert owner.get(name)["activity"]["audience"] == "ACTIVITY_AUDIENCE_FOLLOWERS"
    whole = owner.get(f"{name}/streams", resolution=0)["channels"]
    home = Circle(
        latitude_deg=whole["LATITUDE"][0], longitude_deg=whole["LONGITUDE"][0], radius_m=RADIUS_M
    )
    assert places_within(whole["LATITUDE"], whole["LONGITUDE"], home) > 5
    stranger, follower = athletes.register("Sergey"), athletes.register("Fyodor")
    reached = {"x-palestra-consistency": _followed(owner, follower)}

    def follows() -> bool:
        return follower.rest.get(f"/v1/{name}", headers=reached).status_code == httpx.codes.OK

    # A stack that has just begun has no copy of relations yet.
    until(follows, PATIENCE_S, "the follower sees it")
    for answer in (
        stranger.rest.get(f"/v1/{name}"),
        stranger.rest.get(f"/v1/{name}/streams"),
    ):
        assert refusal(answer) == (404, "NOT_FOUND", "ACTIVITY_NOT_FOUND")
    assert stranger.get(f"{owner.user}/activities")["activities"] == []
    seen = follower.get(f"{name}/streams", resolution=0)
    assert places_within(seen["channels"]["LATITUDE"], seen["channels"]["LONGITUDE"], home) > 5
    assert "HEART_RATE" not in seen["channels"]

    zone = {"displayName": "Home", "latitudeDeg": home.latitude_deg} | {
        "longitudeDeg": home.longitude_deg,
        "radiusM": RADIUS_M,
    }
    _done(owner.rest.post("/v1/users/me/privacyZones", json=zone))

    def hidden() -> bool:
        channels = follower.get(f"{name}/streams", resolution=0)["channels"]
        return places_within(channels["LATITUDE"], channels["LONGITUDE"], home) == 0

    until(hidden, PATIENCE_S, "the home is hidden")
    (listed,) = follower.get(f"{owner.user}/activities")["activities"]
    assert listed == follower.get(name)["activity"]
    assert listed["summary"]["formula"].endswith("+shown/1")
    assert listed["summary"]["distanceM"] < owner.get(name)["activity"]["summary"]["distanceM"]
    assert owner.get(f"{name}/streams", resolution=0)["channels"] == whole

    told = _done(owner.rest.post("/v1/users/me/blocks", json={"user": follower.user}))
    reached = {"x-palestra-consistency": told["consistencyToken"]}
    blocked = follower.rest.get(f"/v1/{name}", headers=reached)
    assert refusal(blocked) == (404, "NOT_FOUND", "ACTIVITY_NOT_FOUND")
    lists = follower.rest.get(f"/v1/{owner.user}/activities", headers=reached)
    assert _done(lists)["activities"] == []


def test_what_is_open_to_everyone_is_closed_again_at_once(
    owner: Athlete, athletes: Club, tmp_path: Path
) -> None:
    run = asyncio.run(Watch(owner, tmp_path).send(simulate("cycling", 60, 2, START_MS)))
    name, stranger = run.report.activity, athletes.register()
    for audience, status in (
        ("ACTIVITY_AUDIENCE_EVERYONE", httpx.codes.OK),
        ("ACTIVITY_AUDIENCE_NOBODY", httpx.codes.NOT_FOUND),
    ):
        _done(owner.rest.patch(f"/v1/{name}", json={"audience": audience}))

        def answered(status: int = status) -> bool:
            return stranger.rest.get(f"/v1/{name}").status_code == status

        if status == httpx.codes.OK:
            until(answered, PATIENCE_S, "everyone sees it")
        assert answered()
