"""What each edge counts alone, and what its callers are told of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2

from palestra.identity.v1 import profile_service_pb2, profile_service_pb2_grpc
from tests.support.grpc_errors import reason_of, status_details
from tests.support.mesh_stack import MeshStack
from tests.system.mesh.test_edge_rest import reason
from tests.system.mesh.test_live_changes import GET_PROFILE, bearer

REQUESTS, WINDOW_S = 3, 12
EVERY_S = WINDOW_S // REQUESTS
URL = "/v1/users/me"
FEW = {GET_PROFILE: {"limit": {"requests": REQUESTS, "window_s": WINDOW_S}}}


@pytest.fixture(scope="module", autouse=True)
def _few(mesh: MeshStack) -> Iterator[None]:
    mesh.settle("edge", lambda: mesh.write_overrides(FEW))
    yield
    mesh.settle("edge", lambda: mesh.write_overrides({}))


def told(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if "ratelimit" in name}


def details(answer: httpx.Response, kind: str) -> list[dict[str, Any]]:
    return [each for each in answer.json()["details"] if each["@type"].endswith(f".{kind}")]


def test_answers_say_what_is_left_and_refusals_when_to_come_back(user: httpx.Client) -> None:
    first, *_, refused = [user.get(URL) for _ in range(REQUESTS + 1)]
    assert first.status_code == 200
    assert told(first) == {
        "ratelimit-policy": f'"user";q={REQUESTS};w={WINDOW_S}',
        "ratelimit": f'"user";r={REQUESTS - 1}',
        "x-ratelimit-limit": str(REQUESTS),
        "x-ratelimit-remaining": str(REQUESTS - 1),
        "x-ratelimit-reset": "0",
    }
    assert "retry-after" not in first.headers
    assert reason(refused) == (429, 8, "OVERLOADED")
    wait_s = int(refused.headers["retry-after"])
    assert 0 < wait_s <= EVERY_S
    assert told(refused) == {
        **told(first),
        "ratelimit": f'"user";r=0;t={wait_s}',
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(wait_s),
    }
    # The body is written before the rest of the wait is known: it says the longest.
    assert [each["retryDelay"] for each in details(refused, "RetryInfo")] == [f"{EVERY_S}s"]


def test_of_a_limit_that_gives_one_more_within_a_second_refusals_say_so(mesh: MeshStack) -> None:
    quick = {GET_PROFILE: {"limit": {"requests": 4, "window_s": 4}}}
    mesh.settle("edge", lambda: mesh.write_overrides(quick))
    try:
        with httpx.Client(base_url=mesh.url, headers=bearer(mesh.token()), timeout=10) as client:
            answers = [client.get(URL)]
            while answers[-1].status_code == 200 and len(answers) < 500:
                answers.append(client.get(URL))
    finally:
        mesh.settle("edge", lambda: mesh.write_overrides(FEW))
    assert answers[0].headers["ratelimit"] == '"user";r=3'
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    for each in refused:
        assert each.headers["retry-after"] == "1"
        assert each.headers.get_list("ratelimit") == ['"user";r=0;t=1']
        assert each.headers.get_list("x-ratelimit-reset") == ["1"]


def test_who_waits_as_long_as_told_passes(user: httpx.Client) -> None:
    refused = [user.get(URL) for _ in range(REQUESTS + 1)][-1]
    assert refused.status_code == 429
    time.sleep(int(refused.headers["retry-after"]))
    assert user.get(URL).status_code == 200


async def test_grpc_calls_are_told_the_same(mesh: MeshStack) -> None:
    metadata = (("authorization", f"Bearer {mesh.token()}"),)
    request = profile_service_pb2.GetProfileRequest(name="users/me")
    async with grpc.aio.insecure_channel(mesh.target) as channel:
        stub = profile_service_pb2_grpc.ProfileServiceStub(channel)
        for left in range(REQUESTS - 1, -1, -1):
            call = stub.GetProfile(request, metadata=metadata, timeout=10)
            await call
            shown = dict(await call.initial_metadata())
            assert shown["x-ratelimit-remaining"] == str(left)
            assert shown["ratelimit-policy"] == f'"user";q={REQUESTS};w={WINDOW_S}'
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetProfile(request, metadata=metadata, timeout=10)
    error = caught.value
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    beside_it = [*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())]
    beside = {str(key): value for key, value in beside_it}
    assert 0 < int(beside["retry-after"]) <= EVERY_S
    status = status_pb2.Status.FromString(status_details(error) or b"")
    infos, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert [each.Unpack(infos) for each in status.details].count(True) == 1
    assert [each.Unpack(retry) for each in status.details].count(True) == 1
    assert retry.retry_delay.seconds == EVERY_S


@pytest.mark.parametrize("lie", ["expired", "unsigned", "garbage"])
def test_tokens_that_are_not_good_spend_nothing_of_anybodys(mesh: MeshStack, lie: str) -> None:
    person = str(uuid.uuid4())
    good = mesh.token(sub=person)
    body = good.split(".")[1]
    bad = {
        "expired": mesh.token(sub=person, exp=int(time.time()) - 60),
        "unsigned": f"{good.split('.')[0]}.{body}.{'A' * 86}",
        "garbage": f"x.{body}.y",
    }[lie]
    with httpx.Client(base_url=mesh.url, timeout=10) as client:
        for _ in range(REQUESTS + 2):
            refused = client.get(URL, headers=bearer(bad))
            assert refused.status_code == 401
            assert "ratelimit" not in refused.headers
            assert "retry-after" not in refused.headers
        answer = client.get(URL, headers=bearer(good))
    assert told(answer)["x-ratelimit-remaining"] == str(REQUESTS - 1)


def test_no_header_makes_a_user_somebody_else(mesh: MeshStack, user: httpx.Client) -> None:
    lies = [
        {"x-forwarded-for": "192.0.2.1"},
        {"user": "another", "sub": "another", "client-id": "another"},
        {"x-palestra-user": "another", "x-envoy-external-address": "192.0.2.2"},
    ]
    assert [user.get(URL, headers=each).status_code for each in lies] == [200] * 3
    assert user.get(URL).status_code == 429


def test_a_browsers_script_may_read_all_of_it(user: httpx.Client) -> None:
    answer = user.get(URL, headers={"origin": "https://app.example"})
    exposed = answer.headers["access-control-expose-headers"].split(",")
    assert set(told(answer)) | {"retry-after"} <= set(exposed)
