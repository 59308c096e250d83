"""Who signed out is out: of every service, on every open stream, within 5 s, through the edge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc
import httpx
import pytest

from palestra.identity.v1.profile_service_pb2 import GetProfileRequest
from palestra.identity.v1.profile_service_pb2_grpc import ProfileServiceStub
from palestra_client import open_channel
from tests.support.athletes import Athlete, Club
from tests.support.grpc_errors import reason_of as reason_of_grpc
from tests.support.live_run import live_run
from tests.support.live_watchers import Seen, over_grpc, over_rest
from tests.support.local_stack import until
from tests.support.websocket_runs import websocket_run, websocket_run_when_up
from tests.support.whole_stack import WholeStack

WITHIN_S = 5.0
ACTIVITIES, DEVICES = "/v1/users/me/activities", "/v1/users/me/devices"


def sign_out(athlete: Athlete) -> float:
    """Ends the athlete's session; when that was answered."""
    told = {"refreshToken": athlete.refresh_token}
    # Tried again as a client does: the edge hears of a restarted identity by itself.
    until(
        lambda: athlete.rest.post("/v1/auth:logout", json=told).status_code == httpx.codes.OK,
        WITHIN_S,
        "signed out",
    )
    return time.monotonic()


def refused(answer: httpx.Response) -> str:
    if answer.status_code == httpx.codes.OK:
        return ""
    assert answer.status_code == httpx.codes.UNAUTHORIZED, answer.text
    reason: str = answer.json()["details"][0]["reason"]
    return reason


@pytest.mark.parametrize("path", ["/v1/users/me", ACTIVITIES, DEVICES])
def test_a_token_of_an_ended_session_is_refused_by_each_service(athletes: Club, path: str) -> None:
    athlete, other = athletes.register(), athletes.register()
    # Each worker has verified the token before: it is not the signature that is refused.
    for _ in range(12):
        assert refused(athlete.rest.get(path)) == ""
    sign_out(athlete)
    in_a_row = 0
    begun = time.monotonic()
    while in_a_row < 12:
        in_a_row = in_a_row + 1 if refused(athlete.rest.get(path)) == "TOKEN_REVOKED" else 0
        assert time.monotonic() - begun < WITHIN_S
    assert refused(other.rest.get(path)) == ""


async def test_streams_over_grpc_rest_and_websocket_end_and_say_why(athletes: Club) -> None:
    athlete = await asyncio.to_thread(athletes.register)
    seen_rest: Seen = []
    seen_grpc: Seen = []
    async with live_run(athlete) as run, websocket_run(athlete) as socket:
        await socket.open()
        watching = [
            asyncio.create_task(_ends(over_rest, athlete, run.activity, seen_rest)),
            asyncio.create_task(_ends(over_grpc, athlete, run.activity, seen_grpc)),
        ]
        while not (seen_rest and seen_grpc):
            await run.second(120, 3.0, 55.75, 37.61)
            await asyncio.sleep(0.2)
        begun = await asyncio.to_thread(sign_out, athlete)
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await run._hear("closed")
            last, code, why = await socket.end()
            assert await watching[1] == "TOKEN_REVOKED"
            await watching[0]
        took_s = time.monotonic() - begun
    assert reason_of_grpc(ended.value) == "TOKEN_REVOKED"
    assert (code, why) == (4401, "TOKEN_REVOKED")
    assert last is not None
    rest_end = seen_rest[-1][1]["ended"]
    assert rest_end["reason"] == "WATCH_END_RESUMABLE"
    assert rest_end["error"]["details"][0]["reason"] == "TOKEN_REVOKED"
    assert took_s < WITHIN_S


async def _ends(
    watch: Callable[[Athlete, str, Seen], Awaitable[None]],
    athlete: Athlete,
    activity: str,
    seen: Seen,
) -> str:
    try:
        await watch(athlete, activity, seen)
    except grpc.aio.AioRpcError as error:
        return reason_of_grpc(error)
    return ""


def test_without_identity_the_last_set_serves_and_news_come_when_it_is_back(
    stack: WholeStack, athletes: Club
) -> None:
    gone, stays = athletes.register(), athletes.register()
    assert refused(gone.rest.get(ACTIVITIES)) == ""
    assert refused(stays.rest.get(ACTIVITIES)) == ""
    sign_out(gone)
    until(lambda: refused(gone.rest.get(ACTIVITIES)) == "TOKEN_REVOKED", WITHIN_S, "it is out")
    (name,) = stack.names("identity")
    restarts = stack.kill(name)
    # Training asks nobody: what it knew it knows.
    assert refused(gone.rest.get(ACTIVITIES)) == "TOKEN_REVOKED"
    assert refused(stays.rest.get(ACTIVITIES)) == ""
    stack.recovered(name, restarts, 15)
    assert refused(gone.rest.get(ACTIVITIES)) == "TOKEN_REVOKED"
    sign_out(stays)
    until(lambda: refused(stays.rest.get(ACTIVITIES)) == "TOKEN_REVOKED", WITHIN_S, "it is out")


async def test_a_fresh_process_knows_what_was_revoked_before_it(
    stack: WholeStack, athletes: Club
) -> None:
    athlete = await asyncio.to_thread(athletes.register)
    await asyncio.to_thread(sign_out, athlete)
    for name in stack.names("training"):
        restarts = stack.kill(name)
        stack.recovered(name, restarts, 15)
    for _ in range(6):
        assert refused(athlete.rest.get(ACTIVITIES)) == "TOKEN_REVOKED"
    other = await asyncio.to_thread(athletes.register)
    async with websocket_run_when_up(other) as run:
        await run.open()
    async with open_channel(stack.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await ProfileServiceStub(channel).GetProfile(
                GetProfileRequest(name="users/me"), metadata=athlete.metadata
            )
    assert reason_of_grpc(ended.value) == "TOKEN_REVOKED"


def test_a_session_is_seen_and_ended_from_another(athletes: Club) -> None:
    here = athletes.register()
    held = {"email": here.email, "password": here.password}
    phone = {"user-agent": "Palestra/3.1 (iPhone)", "x-palestra-client-address": "203.0.113.9"}
    with athletes.anonymous() as there:
        told = there.post("/v1/auth:login", json=held, headers=phone).json()
        there.headers["authorization"] = f"Bearer {told['accessToken']}"
        assert refused(there.get(ACTIVITIES)) == ""
        listed = here.rest.get("/v1/users/me/sessions", params={"pageSize": 1}).json()
        (seen,) = listed["sessions"]
        # What a client says of its address is not believed.
        assert (seen["device"], seen["network"]) == ("Palestra on iPhone", "127.0.0.0/24")
        assert not seen.get("current")
        query = {"pageSize": 1, "pageToken": listed["nextPageToken"]}
        last = here.rest.get("/v1/users/me/sessions", params=query).json()
        assert [each["current"] for each in last["sessions"]] == [True]
        assert not last.get("nextPageToken")
        assert here.rest.delete(f"/v1/{seen['name']}").status_code == httpx.codes.OK
        until(lambda: refused(there.get(ACTIVITIES)) == "TOKEN_REVOKED", WITHIN_S, "it is out")
    assert refused(here.rest.get(ACTIVITIES)) == ""
    again = here.rest.get("/v1/users/me/sessions").json()["sessions"]
    assert [each["name"] for each in again] == [last["sessions"][0]["name"]]


def test_one_persons_sessions_are_nobody_elses(athletes: Club) -> None:
    mine, theirs = athletes.register(), athletes.register()
    (session,) = theirs.rest.get("/v1/users/me/sessions").json()["sessions"]
    for answer in (
        mine.rest.get(f"/v1/{theirs.user}/sessions"),
        mine.rest.delete(f"/v1/{session['name']}"),
        mine.rest.post(f"/v1/{theirs.user}/sessions:end", json={"includeCurrent": True}),
    ):
        assert answer.status_code == httpx.codes.FORBIDDEN
    own = f"/v1/users/me/sessions/{session['name'].rpartition('/')[2]}"
    assert mine.rest.delete(own).status_code == httpx.codes.OK
    assert refused(theirs.rest.get(ACTIVITIES)) == ""
