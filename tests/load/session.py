"""A live session by hand: batches that cost the sender next to nothing, and when each was heard of.

Owns one stream to the edge. Decides how many batches are under way at once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.integration.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from palestra.training.v1 import telemetry_pb2
from palestra_watch.batches import batch_of
from palestra_watch.recording import Recording
from palestra_watch.sources.simulate import simulate
from tests.load.closed_loop import Bounds
from tests.load.figures import Tally

if TYPE_CHECKING:
    import grpc
    from grpc.aio import StreamStreamCall

    Stream = StreamStreamCall[pb.StreamTelemetryRequest, pb.StreamTelemetryResponse]
    Metadata = tuple[tuple[str, str], ...]

LIMIT_S = 30.0
UNDER_WAY = 16
"""Batches of a session without acknowledgement at once; the contract allows more."""
_LEFT_OUT = ("TEMPERATURE", "RR_INTERVAL")


class Refused(Exception):
    """The server said something else than that all is well."""


def recording(duration_s: int, seed: int, start_ms: int) -> Recording:
    """A synthetic run of 8 channels at 1 Hz, every sample with a value of each."""
    made = simulate("running", duration_s, seed, start_ms)
    rows = np.flatnonzero(made.channel("HEART_RATE").valid)
    return dataclasses.replace(
        made,
        time_ms=made.time_ms[rows],
        channels=tuple(
            dataclasses.replace(each, raw=each.raw[rows], valid=each.valid[rows])
            for each in made.channels
            if each.name not in _LEFT_OUT
        ),
    )


class LoadSession:
    """One opened session."""

    def __init__(self, stream: Stream, session: str, made: Recording) -> None:
        self._stream = stream
        self._session = session
        self._made = made
        self._sent_at: dict[int, float] = {}
        self._acked = 0
        self._moved = asyncio.Event()
        self._tally = Tally()
        self._listening: asyncio.Task[None] | None = None
        self.seq = 0
        self.activity = ""

    async def open(self) -> None:
        """Opens the session."""
        opening = pb.Open(session=self._session, epoch=1, description=self._made.description())
        await self._stream.write(pb.StreamTelemetryRequest(open=opening))
        self.activity = (await self._hear("accepted")).accepted.activity

    async def upload(self, batch_samples: int = 600) -> str:
        """Sends the whole recording and finishes it; the activity that it became."""
        for first in range(0, self._made.samples, batch_samples):
            end = min(first + batch_samples, self._made.samples)
            self.seq += 1
            batch = batch_of(self._made, self.seq, first, end)
            await self._stream.write(pb.StreamTelemetryRequest(batch=batch))
        close = pb.Close(last_seq=self.seq, summary=self._made.summary)
        await self._stream.write(pb.StreamTelemetryRequest(close=close))
        return (await self._hear("closed")).closed.activity

    async def _hear(self, kind: str) -> pb.StreamTelemetryResponse:
        """The next answer of a kind; acknowledgements before it are let pass."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                answer = await self._stream.read()
                if not isinstance(answer, pb.StreamTelemetryResponse):
                    raise Refused("the stream ended")
                told = answer.WhichOneof("message")
                if told == kind:
                    return answer
                if told == "reject":
                    raise Refused(f"{answer.reject.reason}: {answer.reject.detail}")

    async def pour(self, samples: int, bounds: Bounds) -> Tally:
        """Sends batches of so many samples as fast as they are acknowledged; counts samples.

        Raises:
            Refused: the server did not go along.
        """
        self._tally = tally = Tally()
        batch = batch_of(self._made, 1, 0, samples)
        last = self.seq + bounds.most
        until = time.perf_counter() + bounds.seconds
        async with asyncio.timeout(bounds.seconds + LIMIT_S):
            while self.seq < last and time.perf_counter() < until:
                if len(self._sent_at) >= UNDER_WAY:
                    await self._move()
                else:
                    await self.send(batch)
            while self._sent_at:
                await self._move()
        tally.units = len(tally.latencies_ms) * samples
        return tally

    async def _move(self) -> None:
        """Waits until something was acknowledged."""
        self._moved.clear()
        await self._moved.wait()
        if self._listening is not None and self._listening.done():
            self._listening.result()

    def next_time_ms(self, batch: telemetry_pb2.Batch) -> int:
        """The time that `send` will give to the first sample of a batch."""
        return self._time_ms(batch, self.seq + 1)

    def _time_ms(self, batch: telemetry_pb2.Batch, seq: int) -> int:
        # A second for each sample; a sample's delta is 4 bytes.
        return self._made.start_time_ms + seq * (len(batch.time_deltas_ms) // 4) * 1000

    async def send(self, batch: telemetry_pb2.Batch) -> None:
        """Sends a batch as the session's next one, with the times that follow."""
        self.seq += 1
        batch.seq = self.seq
        batch.first_time_ms = self._time_ms(batch, self.seq)
        self._sent_at[self.seq] = time.perf_counter()
        await self._stream.write(pb.StreamTelemetryRequest(batch=batch))

    def listen(self) -> None:
        """Hears acknowledgements from now on: a read that is cancelled would end the stream."""
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            while True:
                answer = await self._stream.read()
                if not isinstance(answer, pb.StreamTelemetryResponse):
                    raise Refused("the stream ended")
                if answer.HasField("reject"):
                    raise Refused(f"{answer.reject.reason}: {answer.reject.detail}")
                self._take(answer.ack.seq, time.perf_counter())
        finally:
            self._moved.set()

    def _take(self, seq: int, now: float) -> None:
        while self._acked < seq:
            self._acked += 1
            self._tally.latencies_ms.append((now - self._sent_at.pop(self._acked)) * 1000)
        self._moved.set()

    async def leave(self) -> None:
        """Gives the stream up; what is not finished stays live."""
        self._stream.cancel()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)


@asynccontextmanager
async def load_session(
    channel: grpc.aio.Channel, metadata: Metadata, made: Recording
) -> AsyncIterator[LoadSession]:
    """A session that is open; what is not finished by the end stays live."""
    stream = TelemetryServiceStub(channel).StreamTelemetry(None, metadata=metadata)
    session = LoadSession(stream, str(uuid.uuid4()), made)
    try:
        await session.open()
        yield session
    finally:
        await session.leave()
