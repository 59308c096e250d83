"""The part of a person's day in which he tells of himself: every call of it, over REST."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.support import made_pictures
from tests.support.athletes import Athlete

Ask = Callable[..., httpx.Response]
"""A client, verb, path and what is sent -> the answer, checked."""


def spend(ask: Ask, athlete: Athlete) -> None:
    """Shows a picture, says something of himself, looks at cards, sets a goal and reaches it."""
    rest = athlete.rest
    upload = ask(rest, "POST", "users/me/avatarUploads", json={}).json()
    assert httpx.put(upload["uploadUri"], content=made_pictures.jpeg()).is_success
    ask(rest, "POST", "users/me:setAvatar", json={"uploadId": upload["uploadId"]})
    ask(rest, "DELETE", "users/me/avatar")
    about = {
        "sports": [{"sport": "SPORT_RUNNING", "level": "SPORT_LEVEL_ADVANCED"}],
        "birthDate": {"year": 1990, "month": 5, "day": 17},
        "heightCm": 168.5,
        "interests": ["#Trail  Running"],
        "visibility": {"city": "AUDIENCE_NOBODY"},
    }
    told = ask(rest, "PATCH", "users/me", json=about).json()["profile"]
    assert (told["interests"], told["visibility"]["sex"]) == (["trail running"], "AUDIENCE_NOBODY")
    cards = ask(rest, "GET", "users:batchGetCards", params={"names": [athlete.user]}).json()
    assert [card["user"] for card in cards["cards"]] == [athlete.user]
    goal = ask(rest, "POST", "users/me/goals", json={"weight": {"weightKg": 60}}).json()["goal"]
    assert ask(rest, "GET", "users/me/goals").json()["goals"] == [goal]
    achieved = {"state": "GOAL_STATE_ACHIEVED"}
    ask(rest, "PATCH", goal["name"], json=achieved, headers={"if-match": f'"{goal["etag"]}"'})
    ask(rest, "DELETE", goal["name"])
    _choose(ask, rest)


def _choose(ask: Ask, rest: httpx.Client) -> None:
    """Chooses how things are to be, and hides a place."""
    usual = ask(rest, "GET", "users/me/settings").json()["settings"]
    assert usual["theme"] == "THEME_SYSTEM"
    wanted = {
        "timeZone": "Asia/Yekaterinburg",
        "quietHours": {"fromMinute": 1380, "toMinute": 420},
        "notifications": [{"kind": "NOTIFICATION_KIND_SOCIAL", "email": True}],
    }
    tag = {"if-match": f'"{usual["etag"]}"'}
    chosen = ask(rest, "PATCH", "users/me/settings", json=wanted, headers=tag).json()["settings"]
    assert chosen["timeZone"] == "Asia/Yekaterinburg"
    place = {"latitudeDeg": 56.8, "longitudeDeg": 60.6, "radiusM": 500}
    zone = ask(rest, "POST", "users/me/privacyZones", json=place).json()["privacyZone"]
    assert ask(rest, "GET", "users/me/privacyZones").json()["privacyZones"] == [zone]
    ask(rest, "PATCH", zone["name"], json={"radiusM": 700})
    ask(rest, "DELETE", zone["name"])
