"""Frames of the telemetry line over WebSocket, damaged: JSON and binary, handshakes included."""

from __future__ import annotations

import asyncio
import random
import uuid

from google.protobuf import json_format
from websockets import ConnectionClosed, InvalidStatus
from websockets.asyncio.client import ClientConnection, connect

from palestra.integration.v1 import telemetry_service_pb2 as pb
from tests.support import fake_device
from tests.support.athletes import Athlete
from tests.support.mutations import damage
from tests.support.mutations.answers import INSIDES, faults
from tests.support.mutations.over_grpc import said
from tests.support.websocket_runs import PATH, offered, url

TIMEOUT_S = 10.0
ABNORMAL, UNEXPECTED, LEAST_SERVER_ERROR = 1006, 1011, 4500
MOST_ANSWERS = 200


async def session(chance: random.Random, athlete: Athlete) -> list[str]:
    """Opens a session, says one damaged thing, and sees whether the line still answers."""
    kind = chance.choice(("json", "binary"))
    if chance.random() < 0.1:
        return await _handshake(chance, athlete, kind)
    protocols = offered(kind, athlete.token)
    async with (
        asyncio.timeout(TIMEOUT_S),
        connect(url(athlete.stack), subprotocols=protocols, proxy=None) as connection,
    ):
        return await _say(chance, connection, kind)


async def _say(chance: random.Random, connection: ClientConnection, kind: str) -> list[str]:
    opening = fake_device.opening(str(uuid.uuid4()), 1)
    ping = pb.StreamTelemetryRequest(clock_ping=pb.ClockPing())
    right = pb.StreamTelemetryRequest.FromString(chance.choice(said()))
    frames = [_frame(opening, kind), _damaged(chance, right, kind), _frame(ping, kind)]
    if chance.random() < 0.2:
        frames[0] = _damaged(chance, opening, kind)
    told = []
    try:
        for frame in frames:
            await connection.send(frame)
        for _ in range(MOST_ANSWERS):
            told.append(str(await connection.recv()))
            if "clockPong" in told[-1] or _is_pong(told[-1], kind) or _never_opened(told, frames):
                break
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else ABNORMAL
        told.append(closed.rcvd.reason if closed.rcvd else "")
        if code in (ABNORMAL, UNEXPECTED) or code >= LEAST_SERVER_ERROR:
            return [f"closed with {code} {told[-1]!r}"]
    return [f"says {word!r}" for word in INSIDES for each in told if word in each]


def _never_opened(told: list[str], frames: list[str | bytes]) -> bool:
    """Whether each frame was refused, the ping at the end too: before Open it gets no pong."""
    return "OPEN_MISSING" in told[-1] and len(told) >= len(frames)


def _is_pong(told: str, kind: str) -> bool:
    return kind == "binary" and told.startswith("b'*")


def _frame(message: pb.StreamTelemetryRequest, kind: str) -> str | bytes:
    return json_format.MessageToJson(message) if kind == "json" else message.SerializeToString()


def _damaged(chance: random.Random, message: pb.StreamTelemetryRequest, kind: str) -> str | bytes:
    if kind == "binary":
        return damage.of_bytes(chance, message.SerializeToString())
    text = damage.of_json(chance, json_format.MessageToDict(message))
    # A text frame is UTF-8, or no frame; what else there is goes as a binary one.
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


async def _handshake(chance: random.Random, athlete: Athlete, kind: str) -> list[str]:
    token = damage.of_bytes(chance, athlete.token.encode()).hex()
    protocols = offered(chance.choice((kind, "nothing")), token)
    query = chance.choice(("", "?access_token=x", "/", "?" + "a" * 5_000, "%00", "/../x"))
    target = url(athlete.stack).removesuffix(PATH) + PATH + query
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            connect(target, subprotocols=protocols, proxy=None),
        ):
            return ["a damaged token was let in"]
    except InvalidStatus as refused:
        answer = refused.response
        return faults(
            answer.status_code, answer.headers.get("content-type", ""), bytes(answer.body)
        )
