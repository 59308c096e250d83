"""What gRPC and gRPC-Web clients see at the edge."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
import pytest_asyncio
from google.protobuf import timestamp_pb2
from google.rpc import error_details_pb2, status_pb2

from palestra.identity.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    key_service_pb2,
    key_service_pb2_grpc,
    profile_service_pb2,
    profile_service_pb2_grpc,
)
from palestra.integration.v1 import telemetry_service_pb2, telemetry_service_pb2_grpc
from tests.support.grpc_errors import status_details
from tests.support.mesh_stack import MeshStack

ME = profile_service_pb2.GetProfileRequest(name="users/me")


@pytest_asyncio.fixture
async def channel(mesh: MeshStack) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(mesh.target) as opened:
        yield opened


def bearer(mesh: MeshStack) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {mesh.token()}"),)


def rich(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    """The code, and the reason of details that agree with it."""
    packed = status_details(error)
    assert packed is not None
    status = status_pb2.Status.FromString(packed)
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return error.code(), info.reason


async def refused(
    channel: grpc.aio.Channel,
    metadata: tuple[tuple[str, str], ...],
    name: str = "users/me",
    timeout_s: float = 5,
) -> tuple[grpc.StatusCode, str]:
    stub = profile_service_pb2_grpc.ProfileServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetProfile(
            profile_service_pb2.GetProfileRequest(name=name), metadata=metadata, timeout=timeout_s
        )
    return rich(caught.value)


async def test_a_call_passes_and_a_shorter_deadline_is_kept(
    mesh: MeshStack, channel: grpc.aio.Channel
) -> None:
    stub = profile_service_pb2_grpc.ProfileServiceStub(channel)
    answer = await stub.GetProfile(ME, metadata=bearer(mesh), timeout=0.8)
    assert 0 < json.loads(answer.profile.bio)["remaining_s"] <= 0.8


async def test_without_a_token_the_status_has_a_reason(channel: grpc.aio.Channel) -> None:
    assert await refused(channel, ()) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


async def test_an_expired_token_says_so(mesh: MeshStack, channel: grpc.aio.Channel) -> None:
    expired = (("authorization", f"Bearer {mesh.token(exp=int(time.time()) - 5)}"),)
    assert await refused(channel, expired) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


async def test_the_contracts_deadline_holds_against_a_longer_one(
    mesh: MeshStack, channel: grpc.aio.Channel
) -> None:
    before = time.monotonic()
    expected = (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert await refused(channel, bearer(mesh), "users/slow", 20) == expected
    assert time.monotonic() - before < 3


async def test_an_internal_method_is_not_there(mesh: MeshStack, channel: grpc.aio.Channel) -> None:
    stub = key_service_pb2_grpc.KeyServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetKeySet(key_service_pb2.GetKeySetRequest(), metadata=bearer(mesh))
    assert rich(caught.value) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")


async def test_a_message_over_a_mebibyte_is_refused(channel: grpc.aio.Channel) -> None:
    stub = auth_service_pb2_grpc.AuthServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Register(auth_service_pb2.RegisterRequest(email="x" * (1 << 20)), timeout=5)
    assert rich(caught.value)[1] == "INVALID_FIELD"


async def pings(
    answered: asyncio.Semaphore,
) -> AsyncIterator[telemetry_service_pb2.StreamTelemetryRequest]:
    """The next only when the last was answered."""
    for second in (1, 2, 3):
        await asyncio.wait_for(answered.acquire(), 5)
        ping = telemetry_service_pb2.ClockPing(device_time=timestamp_pb2.Timestamp(seconds=second))
        yield telemetry_service_pb2.StreamTelemetryRequest(clock_ping=ping)


async def test_a_bidirectional_stream_answers_each_message_as_it_comes(
    mesh: MeshStack, channel: grpc.aio.Channel
) -> None:
    stub = telemetry_service_pb2_grpc.TelemetryServiceStub(channel)
    answered = asyncio.Semaphore(1)
    echoes = []
    async for answer in stub.StreamTelemetry(pings(answered), metadata=bearer(mesh)):
        echoes.append(answer.clock_pong.device_time.seconds)
        answered.release()
    assert echoes == [1, 2, 3]


def test_grpc_web_passes_on_the_same_port(mesh: MeshStack) -> None:
    message = ME.SerializeToString()
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    headers = {
        "authorization": f"Bearer {mesh.token()}",
        "content-type": "application/grpc-web-text",
        "accept": "application/grpc-web-text",
        "x-grpc-web": "1",
    }
    path = "/palestra.identity.v1.ProfileService/GetProfile"
    answer = httpx.post(mesh.url + path, headers=headers, content=base64.b64encode(frame))
    # Each frame is padded on its own.
    body = b"".join(base64.b64decode(part + "==") for part in answer.text.split("=") if part)
    size = int.from_bytes(body[1:5], "big")
    told = profile_service_pb2.GetProfileResponse.FromString(body[5 : 5 + size])
    assert told.profile.name == "users/me"
    assert b"grpc-status:0" in body[5 + size :]


def test_grpc_web_without_a_token_gets_a_status(mesh: MeshStack) -> None:
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    path = "/palestra.identity.v1.ProfileService/GetProfile"
    answer = httpx.post(mesh.url + path, headers=headers, content=b"\0\0\0\0\0")
    assert answer.headers["grpc-status"] == "16"
