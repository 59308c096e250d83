"""An administrator's day, over REST: every method of roles and blocks once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx

from mesh.runtime.clock import now
from tests.support import administrators
from tests.support.athletes import Athlete
from tests.support.rest_errors import refusal

Ask = Callable[..., httpx.Response]


def spend(ask: Ask, athlete: Athlete, other: Athlete) -> None:
    """Makes somebody an analyst and takes it back; keeps him out and lets him in."""
    staff = administrators.of(athlete.stack).headers
    rest = athlete.rest
    assert ask(rest, "GET", "users/me/roles").json()["active"] is False
    ask(rest, "GET", "roles")
    ask(rest, "GET", "scopes")
    wanted = {
        "role": "analyst",
        "reason": "reads reports",
        "expireTime": f"{now() + timedelta(days=3):%Y-%m-%dT%H:%M:%SZ}",
    }
    path = f"{other.user}/roleGrants"
    assert refusal(ask(rest, "POST", path, json=wanted))[2] == "ROLE_MISSING"
    made = ask(rest, "POST", path, json=wanted, headers=staff).json()["roleGrant"]
    unknown = ask(rest, "POST", path, json=wanted | {"role": "king"}, headers=staff)
    assert refusal(unknown)[2] == "ROLE_UNKNOWN"
    found = ask(rest, "GET", path, headers=staff).json()["roleGrants"]
    assert [each["role"] for each in found] == ["analyst"]
    why = {"reason": "the report is read"}
    ask(rest, "POST", f"{made['name']}:revoke", json=why, headers=staff)
    ask(rest, "POST", f"{other.user}:block", json={"reason": "He shouts."}, headers=staff)
    standing = ask(rest, "GET", f"{other.user}/standing", headers=staff).json()["standing"]
    assert standing["blocked"] is True
    ask(rest, "POST", f"{other.user}:unblock", json={"reason": "quiet"}, headers=staff)
