"""A person's day with his sessions: looked at, one ended, the others ended."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.support.athletes import Athlete

Ask = Callable[..., httpx.Response]


def sessions(ask: Ask, athlete: Athlete) -> None:
    """Signed in once more; that is seen, and ended."""
    rest = athlete.rest
    held = {"email": athlete.email, "password": athlete.password}
    for _ in range(2):
        assert rest.post("/v1/auth:login", json=held).status_code == httpx.codes.OK
    found = ask(rest, "GET", "users/me/sessions").json()["sessions"]
    others = [each["name"] for each in found if not each.get("current")]
    assert len(others) == len(found) - 1
    ask(rest, "DELETE", others[0])
    ask(rest, "POST", "users/me/sessions:end", json={})
    left = ask(rest, "GET", "users/me/sessions").json()["sessions"]
    assert [each["current"] for each in left] == [True]
