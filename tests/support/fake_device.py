"""A device that streams one session by the book, and complains when it is answered wrongly."""

from __future__ import annotations

import asyncio
import random
import struct
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.integration.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from palestra.training.v1 import sport_pb2, telemetry_pb2
from tests.support.served import Metadata

if TYPE_CHECKING:
    from grpc.aio import StreamStreamCall

    Stream = StreamStreamCall[pb.StreamTelemetryRequest, pb.StreamTelemetryResponse]

DESCRIPTION = telemetry_pb2.SessionDescription(
    sport=sport_pb2.SPORT_RUNNING,
    channels=[telemetry_pb2.ChannelDescription(name="HEART_RATE", unit="bpm")],
)
DESCRIPTION.start_time.FromSeconds(1_800_000_000)


def batch(seq: int, samples: int = 5) -> telemetry_pb2.Batch:
    """A batch whose content no other has."""
    return telemetry_pb2.Batch(
        seq=seq,
        first_time_ms=1_800_000_000_000 + seq,
        time_deltas_ms=bytes(4) + struct.pack("<i", 1000) * (samples - 1),
        columns=[telemetry_pb2.Column(channel=0, values=struct.pack("<i", seq) * samples)],
    )


def opening(session: str, epoch: int) -> pb.StreamTelemetryRequest:
    """The first message of a stream."""
    return pb.StreamTelemetryRequest(
        open=pb.Open(session=session, epoch=epoch, description=DESCRIPTION)
    )


class Device:
    """Sends the batches of a session, and again after any cut, until it is closed."""

    def __init__(
        self,
        channel: Callable[[], grpc.aio.Channel],
        metadata: Metadata,
        user: str,
        batches: int,
        durable: Callable[[str], int],
    ) -> None:
        self.id = str(uuid.uuid4())
        self.session = f"{user}/sessions/{self.id}"
        self.batches = [batch(seq) for seq in range(1, batches + 1)]
        self.epoch = 0
        self.acknowledged = 0
        self.closed = ""
        self.pause_s = 0.0
        self._channel = channel
        self._metadata = metadata
        self._durable = durable

    async def run(self) -> None:
        """Returns when the server has closed the session."""
        while not self.closed:
            self.epoch += 1
            stub = TelemetryServiceStub(self._channel())
            stream = stub.StreamTelemetry(None, metadata=self._metadata)
            try:
                await self._one_stream(stream)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await asyncio.sleep(random.uniform(0.01, 0.05))
            finally:
                stream.cancel()

    async def _one_stream(self, stream: Stream) -> None:
        await stream.write(opening(self.id, self.epoch))
        first = await stream.read()
        assert isinstance(first, pb.StreamTelemetryResponse)
        assert first.WhichOneof("message") == "accepted", first
        have = first.accepted.resume_from_seq - 1
        assert self.acknowledged <= have <= len(self.batches)
        assert have <= self._durable(self.session)
        self.acknowledged = sent = have
        while not self.closed:
            while sent < min(len(self.batches), self.acknowledged + first.accepted.window):
                await stream.write(pb.StreamTelemetryRequest(batch=self.batches[sent]))
                sent += 1
                if self.pause_s:
                    await asyncio.sleep(random.uniform(0, self.pause_s))
            if self.acknowledged == len(self.batches):
                close = pb.Close(last_seq=len(self.batches))
                await stream.write(pb.StreamTelemetryRequest(close=close))
            answer = await stream.read()
            if not isinstance(answer, pb.StreamTelemetryResponse):
                return
            self._take(answer, sent)

    def _take(self, answer: pb.StreamTelemetryResponse, sent: int) -> None:
        kind = answer.WhichOneof("message")
        if kind == "ack":
            assert self.acknowledged <= answer.ack.seq <= sent
            assert answer.ack.seq <= self._durable(self.session), "acknowledged, not durable"
            self.acknowledged = answer.ack.seq
        elif kind == "closed":
            self.closed = answer.closed.activity
        else:
            raise AssertionError(f"a device by the book was told {answer}")
