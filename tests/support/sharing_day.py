"""What somebody lets another see of a run, over REST."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import httpx

from tests.support.athletes import Athlete
from tests.support.local_stack import until

Ask = Callable[..., httpx.Response]
PATIENCE_S: Final = 15.0


def spend(ask: Ask, owner: Athlete, other: Athlete, activity: str) -> None:
    """Opens an activity to everyone; another reads it, lists it, draws it."""
    name = activity.replace("users/me", owner.user)
    refused = ask(other.rest, "GET", name)
    assert refused.status_code == httpx.codes.NOT_FOUND
    ask(owner.rest, "PATCH", name, json={"audience": "ACTIVITY_AUDIENCE_EVERYONE"})
    read = partial(ask, other.rest, "GET")
    # A stack that has just begun has no copy of relations yet.
    until(lambda: read(name).is_success, PATIENCE_S, "the other sees it")
    seen = read(name).json()["activity"]
    assert (seen["title"], seen["audience"]) == ("Morning run", "ACTIVITY_AUDIENCE_UNSPECIFIED")
    assert read(f"{owner.user}/activities").json()["activities"] == [seen]
    assert read(f"{name}/streams").json()["cuts"] == []
    assert "cuts" not in ask(owner.rest, "GET", f"{name}/streams").json()
