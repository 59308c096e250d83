"""Serialised messages of the contract's methods, damaged, over gRPC and gRPC-Web."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message

from mesh import policy
from mesh.runtime import writing
from palestra.integration.v1 import telemetry_service_pb2 as pb
from tests.support import fake_device, made_requests
from tests.support.mutations import damage
from tests.support.mutations.answers import faults_of_grpc
from tests.support.mutations.over_http import filled

TIMEOUT_S = 10.0
MOST_ANSWERS = 200
TELEMETRY = "/palestra.integration.v1.TelemetryService/StreamTelemetry"
Metadata = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """A method that takes one message, and one that keeps its rules."""

    method: policy.Method
    message: bytes


def samples(contract: policy.Contract, owner: uuid.UUID) -> list[Sample]:
    """Every method that people may call with one message, and then another."""
    return [
        Sample(method, _full(method, owner).SerializeToString())
        for method in contract.methods.values()
        if method.policy.access != policy.SERVICE
        and not method.descriptor.client_streaming
        and method.descriptor.name not in made_requests.LAST_CALLS
    ]


def _full(method: policy.Method, owner: uuid.UUID) -> Message:
    made = made_requests.request(method, owner)
    whole = type(made)()
    json_format.ParseDict(filled(method.descriptor.input_type), whole)
    whole.MergeFrom(made)
    return whole


async def call(
    chance: random.Random, channel: grpc.aio.Channel, sample: Sample, metadata: Metadata
) -> list[str]:
    """Calls a method with damaged bytes; what is wrong with the answer."""
    message, path = damage.of_bytes(chance, sample.message), sample.method.path
    try:
        if not sample.method.streaming:
            await channel.unary_unary(path, None, None)(
                message, metadata=metadata, timeout=TIMEOUT_S
            )
            return []
        stream = channel.unary_stream(path, None, None)(
            message, metadata=metadata, timeout=TIMEOUT_S
        )
        async for _ in stream:
            break
        stream.cancel()
    except grpc.aio.AioRpcError as error:
        return [f"{path}: {fault}" for fault in faults_of_grpc(error)]
    return []


async def stream(chance: random.Random, channel: grpc.aio.Channel, metadata: Metadata) -> list[str]:
    """Opens a session, says one damaged thing, and hears to the end what comes of it."""
    session = str(uuid.uuid4())
    opening = fake_device.opening(session, 1).SerializeToString()
    told = [opening, damage.of_bytes(chance, chance.choice(said()))]
    if chance.random() < 0.2:
        told = [damage.of_bytes(chance, opening)]
    asked: Any = channel.stream_stream(TELEMETRY, None, None)(
        None, metadata=metadata, timeout=TIMEOUT_S
    )
    heard = 0
    try:
        with suppress(asyncio.InvalidStateError):
            for each in told:
                await writing.write(asked, each)
            await asked.done_writing()
        async for _ in asked:
            heard += 1
            if heard == MOST_ANSWERS:
                asked.cancel()
                return ["a session that says one thing is answered without end"]
    except grpc.aio.AioRpcError as error:
        return [f"telemetry: {fault}" for fault in faults_of_grpc(error)]
    return []


def said() -> tuple[bytes, ...]:
    """What a device says after its opening, one of each kind."""
    ping = pb.StreamTelemetryRequest(clock_ping=pb.ClockPing(offset_ms=5, round_trip_ms=7))
    ping.clock_ping.device_time.FromSeconds(1_800_000_000)
    messages = (
        pb.StreamTelemetryRequest(batch=fake_device.batch(1, 50)),
        ping,
        pb.StreamTelemetryRequest(renew=pb.Renew(access_token="a.b.c")),
        pb.StreamTelemetryRequest(close=pb.Close(last_seq=0)),
    )
    return tuple(message.SerializeToString() for message in messages)


def web(chance: random.Random, sample: Sample, token: str) -> bytes:
    """A whole gRPC-Web request over HTTP/1.1 with damage in its frame."""
    frame = b"\0" + len(sample.message).to_bytes(4) + sample.message
    body = damage.of_bytes(chance, frame)
    kind = chance.choice(("application/grpc-web+proto", "application/grpc-web-text"))
    head = (
        f"POST {sample.method.path} HTTP/1.1\r\nhost: palestra\r\ncontent-type: {kind}\r\n"
        f"authorization: Bearer {token}\r\nx-grpc-web: 1\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
