"""Whatever goes wrong, wherever: one error, one reason of the contract, nothing of our insides."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from palestra.training.v1 import activity_service_pb2, activity_service_pb2_grpc
from palestra_watch.sources.simulate import simulate
from tests.support import mesh_calls, workloads
from tests.support.athletes import Athlete, Club
from tests.support.made_tokens import Signer
from tests.support.rest_errors import meanings, refusal
from tests.support.watches import Watch
from tests.support.whole_stack import WholeStack

INSIDES = ("Traceback", "Error(", "Exception", "services.", "psycopg", "zstd", 'File "', "<class")
NOBODYS = "users/me/activities/0190b6f0-0000-7000-8000-00000000dead"
GRPC_HOLDS_BACK_S = 0.1
"""The least that it waits with an answer to what is no good, unless told not to."""


@pytest.fixture
def nobody(athletes: Club) -> Iterator[httpx.Client]:
    """Somebody who is not signed in."""
    with athletes.anonymous() as rest:
        yield rest


@pytest.fixture
def spoilt(athlete: Athlete, stack: WholeStack, tmp_path: Path) -> str:
    """A finished activity whose stored samples somebody has damaged: no code expects that."""
    sent = asyncio.run(Watch(athlete, tmp_path).send(simulate("running", 30, 1, 1_790_000_000_000)))
    key = sent.report.activity.rsplit("/", 1)[1]
    with stack.database() as database:
        done = database.execute(
            "UPDATE training.streams SET body = 'not what was stored' WHERE activity_id = %s",
            [key],
        )
        assert done.rowcount > 1
    return sent.report.activity


def test_an_unexpected_exception_is_masked_over_rest(
    athlete: Athlete, stack: WholeStack, spoilt: str
) -> None:
    answer = athlete.rest.get(f"/v1/{spoilt}/streams")
    assert refusal(answer) == (500, "INTERNAL", "UNEXPECTED")
    assert not [word for word in INSIDES if word in answer.text]
    assert "unexpected_error" in stack.logs(), "the operator is told what the client is not"


async def test_an_unexpected_exception_is_masked_over_grpc(athlete: Athlete, spoilt: str) -> None:
    channel = workloads.through_the_edge(athlete.stack)
    stub = activity_service_pb2_grpc.ActivityServiceStub(channel)
    request = activity_service_pb2.GetActivityStreamsRequest(name=spoilt)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetActivityStreams(request, metadata=athlete.metadata, timeout=5)
    await channel.close(None)
    assert mesh_calls.refusal(refused.value) == "INTERNAL/UNEXPECTED"
    told = f"{refused.value.details()} {mesh_calls.status_of(refused.value)}"
    assert not [word for word in INSIDES if word in told]


@pytest.mark.parametrize(
    ("verb", "path", "sent", "expected"),
    [
        ("GET", "/nothing", {}, (404, "UNIMPLEMENTED", "METHOD_UNKNOWN")),
        ("PUT", "/v1/users/me", {}, (405, "UNIMPLEMENTED", "METHOD_UNKNOWN")),
        (
            "GET",
            "/v1/users/me",
            {"params": {"shoeSize": 44}},
            (400, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ),
        (
            "GET",
            f"/v1/{NOBODYS}/streams",
            {"params": {"resolution": "many"}},
            (400, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ),
        (
            "GET",
            f"/v1/{NOBODYS}/streams",
            {"params": {"resolution": -1}},
            (400, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ),
        ("GET", f"/v1/{NOBODYS}", {}, (404, "NOT_FOUND", "ACTIVITY_NOT_FOUND")),
        ("GET", f"/v1/{NOBODYS}/streams", {}, (404, "NOT_FOUND", "ACTIVITY_NOT_FOUND")),
        ("GET", f"/v1/{NOBODYS}:watch", {}, (404, "NOT_FOUND", "ACTIVITY_NOT_FOUND")),
        ("DELETE", f"/v1/{NOBODYS}", {}, (404, "NOT_FOUND", "ACTIVITY_NOT_FOUND")),
        ("GET", "/v1/users/me/activities/No", {}, (400, "INVALID_ARGUMENT", "INVALID_FIELD")),
        (
            "GET",
            "/v1/users/me/activities",
            {"params": {"filter": "sport >"}},
            (400, "INVALID_ARGUMENT", "FILTER_INVALID"),
        ),
        (
            "GET",
            "/v1/users/me/activities",
            {"params": {"pageToken": "no"}},
            (400, "INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"),
        ),
        (
            "POST",
            "/v1/users/me/devices",
            {"content": "{", "headers": {"content-type": "application/json"}},
            (400, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ),
        (
            "POST",
            "/v1/users/me/devices",
            {"json": {"displayName": ""}},
            (400, "INVALID_ARGUMENT", "INVALID_FIELD"),
        ),
    ],
)
def test_every_error_over_rest_has_one_reason_of_the_contract(
    athlete: Athlete, verb: str, path: str, sent: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert refusal(athlete.rest.request(verb, path, **sent)) == expected


def test_the_edges_own_refusals_are_errors_of_the_contract_too(
    athlete: Athlete, nobody: httpx.Client
) -> None:
    assert refusal(nobody.get("/v1/users/me"))[1:] == ("UNAUTHENTICATED", "TOKEN_MISSING")
    forged = Signer("nobodys-key").token(uuid.uuid4())
    headers = {"authorization": f"Bearer {forged}"}
    answer = nobody.get("/v1/users/me", headers=headers)
    assert refusal(answer)[1:] == ("UNAUTHENTICATED", "TOKEN_INVALID")
    huge = {"displayName": "x" * (9 << 20)}
    status, code, _ = refusal(athlete.rest.post("/v1/users/me/devices", json=huge))
    assert (status, code) == (413, "INVALID_ARGUMENT")


def test_who_asks_too_often_is_told_so_alone(athletes: Club) -> None:
    hasty, patient = athletes.register(), athletes.register()
    path = f"/v1/{NOBODYS}:watch"
    answers = [hasty.rest.get(path) for _ in range(60)]
    # One more is allowed each second, and the machine may be slow.
    while answers[-1].status_code != 429 and len(answers) < 600:
        answers.append(hasty.rest.get(path))
    *passed, refused = answers
    assert len(passed) >= 60
    assert {refusal(each)[2] for each in passed} == {"ACTIVITY_NOT_FOUND"}
    assert refusal(refused) == (429, "RESOURCE_EXHAUSTED", "OVERLOADED")
    assert refusal(patient.rest.get(path))[2] == "ACTIVITY_NOT_FOUND"


async def test_an_unknown_method_over_grpc_has_a_reason_too(stack: WholeStack) -> None:
    channel = workloads.through_the_edge(stack)
    for path in ("/palestra.training.v1.ActivityService/Nothing", "/nothing.v1.Nothing/Nothing"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(path, None, None)(b"", timeout=5)
        assert mesh_calls.refusal(refused.value) == "UNIMPLEMENTED/METHOD_UNKNOWN"
        (info,) = mesh_calls.infos(refused.value)
        assert (info.domain, info.reason) in meanings()
    await channel.close(None)


def test_errors_speak_russian_and_english(athlete: Athlete) -> None:
    status = json.loads(athlete.rest.get(f"/v1/{NOBODYS}").text)
    words = {
        each["locale"]: each["message"]
        for each in status["details"]
        if each["@type"].endswith("LocalizedMessage")
    }
    assert words == {"en": "There is no such activity.", "ru": "Такой тренировки нет."}


async def test_a_call_that_ends_before_its_message_is_refused_and_not_left_waiting(
    athlete: Athlete,
) -> None:
    channel = workloads.through_the_edge(athlete.stack)
    for path in ("GetActivity", "WatchActivity"):
        method = f"/palestra.training.v1.ActivityService/{path}"
        call = channel.stream_stream(method, None, None)(
            iter(()), metadata=athlete.metadata, timeout=5
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert mesh_calls.refusal(refused.value) == "INVALID_ARGUMENT/INVALID_FIELD"
    await channel.close(None)


def test_a_message_that_is_announced_too_large_is_refused_at_once(athlete: Athlete) -> None:
    """Not after a tenth of a second and up to a whole one, as gRPC would to slow attackers down."""
    announced = b"\0" + (128 << 20).to_bytes(4)
    waits = []
    for _ in range(10):
        answer = athlete.rest.post(
            "/palestra.training.v1.ActivityService/GetActivity",
            content=announced + b"too little",
            headers={"content-type": "application/grpc-web+proto"},
        )
        assert answer.headers["grpc-status"] == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
        waits.append(answer.elapsed.total_seconds())
    assert min(waits) < GRPC_HOLDS_BACK_S, waits
