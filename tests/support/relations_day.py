"""What two people make of each other on a day, over REST: every method of relations once."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.support.athletes import Athlete

Ask = Callable[..., httpx.Response]


def spend(ask: Ask, one: Athlete, other: Athlete) -> None:
    """Asks, approves, trusts, mutes, blocks, and takes each of it back."""
    me, him = one.rest, other.rest
    id_, other_id = (each.user.removeprefix("users/") for each in (one, other))
    ask(me, "GET", "users/me/followSettings")
    ask(me, "PATCH", "users/me/followSettings", json={"approval": "FOLLOW_APPROVAL_REQUIRED"})
    asked = ask(him, "POST", "users/me/following", json={"user": one.user}).json()
    assert asked["relation"]["following"] == "FOLLOW_STATE_REQUESTED"
    requests = ask(me, "GET", "users/me/followRequests").json()
    assert [each["user"] for each in requests["relations"]] == [other.user]
    ask(me, "POST", f"users/me/followRequests/{other_id}:approve", json={})
    ask(me, "POST", f"users/me/followRequests/{other_id}:decline", json={})
    token = {"x-palestra-consistency": asked["consistencyToken"]}
    followers = ask(me, "GET", "users/me/followers", headers=token).json()
    assert followers["totalSize"] == 1
    assert ask(him, "GET", "users/me/following").json()["totalSize"] == 1
    ask(me, "GET", f"users/me/relations/{other_id}")
    for collection in ("closeFriends", "mutes", "blocks"):
        ask(me, "POST", f"users/me/{collection}", json={"user": other.user})
        assert ask(me, "GET", f"users/me/{collection}").json()["totalSize"] == 1
        ask(me, "DELETE", f"users/me/{collection}/{other_id}")
        assert ask(me, "GET", f"users/me/{collection}").json()["totalSize"] == 0
    ask(me, "DELETE", f"users/me/followers/{other_id}")
    ask(him, "DELETE", f"users/me/following/{id_}")
    # Refusals: of oneself, of who is not there, of a token that nobody gave.
    assert ask(me, "POST", "users/me/blocks", json={"user": one.user}).status_code == 400
    ask(me, "POST", "users/me/blocks", json={"user": other.user})
    refused = ask(him, "POST", "users/me/following", json={"user": one.user})
    assert refused.status_code == httpx.codes.NOT_FOUND
    damaged = {"x-palestra-consistency": f"{asked['consistencyToken'][:-1]}-"}
    answer = ask(me, "GET", "users/me/blocks", headers=damaged)
    assert answer.status_code == 400, answer.text
