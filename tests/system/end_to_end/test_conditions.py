"""Tags, the whole way: what an app has is not sent again, what changed not overwritten."""

from __future__ import annotations

import httpx
import pytest

from tests.support.athletes import Athlete, Club
from tests.support.rest_errors import refusal

ME = "/v1/users/me"


@pytest.mark.parametrize("path", [ME, f"{ME}/activities", f"{ME}/progress"])
def test_what_the_app_has_is_not_sent_again(athlete: Athlete, path: str) -> None:
    first = athlete.rest.get(path).raise_for_status()
    again = athlete.rest.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"].removeprefix("W/")


def test_a_tag_of_before_a_change_gets_the_change(athlete: Athlete) -> None:
    before = athlete.rest.get(ME).headers["etag"]
    athlete.rest.patch(f"{ME}?updateMask=bio", json={"bio": "runs"}).raise_for_status()
    now = athlete.rest.get(ME, headers={"if-none-match": before})
    assert (now.status_code, now.json()["profile"]["bio"]) == (200, "runs")


def test_only_the_version_that_the_app_saw_is_changed(athlete: Athlete) -> None:
    seen = {"if-match": athlete.rest.get(ME).headers["etag"]}
    url = f"{ME}?updateMask=bio"
    assert athlete.rest.patch(url, json={"bio": "one"}, headers=seen).status_code == 200
    late = athlete.rest.patch(url, json={"bio": "two"}, headers=seen)
    assert refusal(late) == (409, "ABORTED", "ETAG_MISMATCH")
    assert athlete.rest.get(ME).json()["profile"]["bio"] == "one"


def test_the_tag_of_somebody_else_says_nothing(athletes: Club) -> None:
    one, other = athletes.register("One"), athletes.register("Two")
    tag = one.rest.get(ME).headers["etag"]
    answer = other.rest.get(ME, headers={"if-none-match": tag})
    assert (answer.status_code, answer.json()["profile"]["displayName"]) == (200, "Two")
    theirs = other.rest.get(f"/v1/{one.user}/settings", headers={"if-none-match": "*"})
    assert theirs.status_code == httpx.codes.FORBIDDEN


def test_a_condition_that_nobody_can_keep_is_refused(athlete: Athlete) -> None:
    answer = athlete.rest.get(ME, headers={"if-none-match": "no tag"})
    assert refusal(answer) == (400, "INVALID_ARGUMENT", "INVALID_FIELD")
