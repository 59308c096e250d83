"""A run that is streamed over WebSocket by hand, as a browser would: JSON or binary frames."""

from __future__ import annotations

import asyncio
import json
import struct
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from google.protobuf import json_format
from websockets import ConnectionClosed, InvalidStatus, Subprotocol
from websockets.asyncio.client import ClientConnection, connect

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.training.v1 import sport_pb2, telemetry_pb2
from tests.support.athletes import Athlete
from tests.support.whole_stack import WholeStack

LIMIT_S = 10.0
PATH = "/ws/v1/telemetry"


def url(stack: WholeStack) -> str:
    """Where the line is."""
    return f"ws://127.0.0.1:{stack.port}{PATH}"


def offered(kind: str, token: str) -> list[Subprotocol]:
    """What a browser offers: how it speaks, and who it is."""
    return [Subprotocol(f"palestra.telemetry.v1.{kind}"), Subprotocol(f"palestra.bearer.{token}")]


@dataclass
class WebSocketRun:
    """One session of an athlete; a heart rate per second, a batch per second."""

    connection: ClientConnection
    kind: str
    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    start_ms: int = field(default_factory=lambda: int(time.time()) * 1000)

    async def say(self, request: pb.StreamTelemetryRequest) -> None:
        """Sends a message."""
        if self.kind == "json":
            await self.connection.send(json_format.MessageToJson(request))
        else:
            await self.connection.send(request.SerializeToString())

    async def hear(self) -> pb.StreamTelemetryResponse:
        """The next answer, of the kind that was agreed."""
        async with asyncio.timeout(LIMIT_S):
            frame = await self.connection.recv()
        if self.kind == "json":
            assert isinstance(frame, str)
            return json_format.Parse(frame, pb.StreamTelemetryResponse())
        assert isinstance(frame, bytes)
        return pb.StreamTelemetryResponse.FromString(frame)

    async def hear_of(self, kind: str) -> pb.StreamTelemetryResponse:
        """The next answer of a kind; others are let pass."""
        while True:
            answer = await self.hear()
            if answer.WhichOneof("message") == kind:
                return answer

    async def open(self, epoch: int = 1) -> pb.Accepted:
        """Opens the session."""
        described = telemetry_pb2.SessionDescription(sport=sport_pb2.SPORT_RUNNING)
        described.start_time.FromMilliseconds(self.start_ms)
        described.channels.add(name="HEART_RATE", unit="bpm", scale=1)
        opening = pb.Open(session=self.session, epoch=epoch, description=described)
        await self.say(pb.StreamTelemetryRequest(open=opening))
        return (await self.hear_of("accepted")).accepted

    async def send(self, seq: int, bpm: Sequence[int]) -> None:
        """Sends one batch of so many seconds; `seq` tells where its time begins."""
        deltas = struct.pack(f"<{len(bpm)}i", 0, *[1000] * (len(bpm) - 1))
        values = struct.pack(f"<{len(bpm)}i", *bpm)
        batch = telemetry_pb2.Batch(
            seq=seq,
            first_time_ms=self.start_ms + seq * 1000 * len(bpm),
            time_deltas_ms=deltas,
            columns=[telemetry_pb2.Column(channel=0, values=values)],
        )
        await self.say(pb.StreamTelemetryRequest(batch=batch))

    async def acknowledged(self, seq: int) -> None:
        """Waits until all batches up to one are durable."""
        while (await self.hear_of("ack")).ack.seq < seq:
            pass

    async def close(self, last_seq: int) -> str:
        """Finishes the session; the activity that it became."""
        await self.say(pb.StreamTelemetryRequest(close=pb.Close(last_seq=last_seq)))
        return (await self.hear_of("closed")).closed.activity

    async def end(self) -> tuple[pb.StreamTelemetryResponse | None, int, str]:
        """The last answer, the close code and its reason."""
        last = None
        try:
            while True:
                last = await self.hear()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "no close frame came"
            return last, closed.rcvd.code, closed.rcvd.reason


@asynccontextmanager
async def websocket_run(athlete: Athlete, kind: str = "json") -> AsyncIterator[WebSocketRun]:
    """A WebSocket of an athlete, nothing opened on it yet."""
    async with connect(
        url(athlete.stack), subprotocols=offered(kind, athlete.token), proxy=None
    ) as connection:
        assert connection.subprotocol == f"palestra.telemetry.v1.{kind}"
        yield WebSocketRun(connection, kind)


@asynccontextmanager
async def websocket_run_when_up(
    athlete: Athlete, kind: str = "json"
) -> AsyncIterator[WebSocketRun]:
    """The same, tried again as a device does: the edge hears of a restarted process by itself."""
    until_s = time.monotonic() + LIMIT_S
    while True:
        try:
            async with websocket_run(athlete, kind) as run:
                yield run
                return
        except InvalidStatus as refused:
            assert refused.response.status_code == 503
            assert time.monotonic() < until_s, "the edge refuses for too long"
            await asyncio.sleep(0.05)


def stored_bpm(athlete: Athlete, activity: str) -> list[int]:
    """The heart rates that the server has of a session, in order of time."""
    streams = athlete.get(f"{activity}/streams", resolution=0)
    found: list[int] = streams["channels"]["HEART_RATE"]
    return found


def reason_of(answer: pb.StreamTelemetryResponse) -> str:
    """The reason in an `error` frame."""
    document = json.loads(json_format.MessageToJson(answer.error))
    (info,) = (each for each in document["details"] if each["@type"].endswith("ErrorInfo"))
    reason: str = info["reason"]
    return reason
