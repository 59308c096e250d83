"""A run that is streamed by hand, second by second, so that each sending has its instant."""

from __future__ import annotations

import asyncio
import struct
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mesh.runtime import writing
from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.integration.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from palestra.training.v1 import sport_pb2, telemetry_pb2
from palestra_client import open_channel
from tests.support.athletes import Athlete

if TYPE_CHECKING:
    from grpc.aio import StreamStreamCall

    Stream = StreamStreamCall[pb.StreamTelemetryRequest, pb.StreamTelemetryResponse]

LIMIT_S = 10.0
CHANNELS = (
    ("HEART_RATE", "bpm", 1.0),
    ("SPEED", "m/s", 0.001),
    ("LATITUDE", "deg", 1e-7),
    ("LONGITUDE", "deg", 1e-7),
)


class LiveRun:
    """One opened session; every second is a batch of its own."""

    def __init__(self, stream: Stream, session: str, start_ms: int) -> None:
        self._stream = stream
        self.session = session
        self.start_ms = start_ms
        self.activity = ""
        self.sent = 0

    async def open(self) -> None:
        """Opens the session and hears what it becomes."""
        described = telemetry_pb2.SessionDescription(sport=sport_pb2.SPORT_RUNNING)
        described.start_time.FromMilliseconds(self.start_ms)
        for name, unit, scale in CHANNELS:
            described.channels.add(name=name, unit=unit, scale=scale)
        opening = pb.Open(session=self.session, epoch=1, description=described)
        await self._say(pb.StreamTelemetryRequest(open=opening))
        accepted = await self._hear("accepted")
        assert accepted.accepted.resume_from_seq == 1
        self.activity = accepted.accepted.activity

    async def second(
        self, heart_rate_bpm: int, speed_mps: float, latitude_deg: float, longitude_deg: float
    ) -> float:
        """Sends one second; the instant (monotonic, in s) just before it went out."""
        values = (
            heart_rate_bpm,
            round(speed_mps / 1e-3),
            round(latitude_deg / 1e-7),
            round(longitude_deg / 1e-7),
        )
        self.sent += 1
        batch = telemetry_pb2.Batch(
            seq=self.sent,
            first_time_ms=self.start_ms + self.sent * 1000,
            time_deltas_ms=bytes(4),
            columns=[
                telemetry_pb2.Column(channel=index, values=struct.pack("<i", value))
                for index, value in enumerate(values)
            ],
        )
        instant = time.monotonic()
        await self._say(pb.StreamTelemetryRequest(batch=batch))
        return instant

    async def _say(self, message: pb.StreamTelemetryRequest) -> None:
        await writing.write(self._stream, message.SerializeToString())

    async def close(self) -> str:
        """Finishes the session; the activity that training says it became."""
        close = pb.Close(last_seq=self.sent)
        await self._say(pb.StreamTelemetryRequest(close=close))
        return (await self._hear("closed")).closed.activity

    async def _hear(self, kind: str) -> pb.StreamTelemetryResponse:
        """The next answer of a kind; acknowledgements before it are let pass."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                answer = await self._stream.read()
                assert isinstance(answer, pb.StreamTelemetryResponse), "the stream ended"
                if answer.WhichOneof("message") == kind:
                    return answer
                assert answer.WhichOneof("message") == "ack", answer


@asynccontextmanager
async def live_run(athlete: Athlete, start_ms: int | None = None) -> AsyncIterator[LiveRun]:
    """A run that has begun now, or at another ms since 1970."""
    channel = open_channel(athlete.stack.target)
    stream = TelemetryServiceStub(channel).StreamTelemetry(None, metadata=athlete.metadata)
    begun_ms = int(time.time()) * 1000 if start_ms is None else start_ms
    run = LiveRun(stream, str(uuid.uuid4()), begun_ms)
    try:
        await run.open()
        yield run
    finally:
        stream.cancel()
        await channel.close(None)
