"""The ways of a crowd's sessions into Palestra: a stream each through the edge, or few to training.

Owns the streams. Decides nothing about when something is sent.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Protocol

import grpc

from mesh import catalog
from mesh.runtime.proof import PEER_HEADER, PROOF_HEADER
from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.integration.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from palestra.training.v1 import telemetry_pb2, tracker_service_pb2
from palestra.training.v1.tracker_service_pb2_grpc import TrackerServiceStub
from tests.load.session import LIMIT_S, Refused
from tests.load.world import World

CONNECTIONS = 20
"""Of the crowd to the edge."""
SHARDS = 4
"""Streams to training, as many as integration has."""
GATHER_S = 0.025
"""What comes within this time travels in one message, as integration sends it."""
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)
"""Otherwise gRPC would carry all on one, and the edge takes 256 streams of each."""

Description = telemetry_pb2.SessionDescription
Heard = Callable[[int], None]
"""Told of each acknowledgement."""
Lost = Callable[[str], None]
"""Told why a session cannot go on."""


class Line(Protocol):
    """One session's way in."""

    waits: bool
    """Whether sending waits for a stream; then many are sent at once."""

    async def open(self, description: Description, heard: Heard) -> None:
        """Opens the session; acknowledgements are told from then on."""

    async def send(self, batch: telemetry_pb2.Batch) -> None:
        """Sends a batch."""


class EdgeLine:
    """A stream of its own, as a watch has it."""

    waits = True

    def __init__(self, start: Callable[[], Any], lost: Lost, opened: AsyncExitStack) -> None:
        self._start = start
        self._stream: Any = None
        self._lost = lost
        self._opened = opened

    async def open(self, description: Description, heard: Heard) -> None:
        """Opens the session.

        Raises:
            Refused: it was not taken.
        """
        opening = pb.Open(session=str(uuid.uuid4()), epoch=1, description=description)
        self._stream = self._start()
        self._opened.callback(self._stream.cancel)
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._stream.write(pb.StreamTelemetryRequest(open=opening))
                answer = await self._stream.read()
        except asyncio.InvalidStateError as error:
            raise Refused(f"not opened: {await self._stream.details()}") from error
        if not isinstance(answer, pb.StreamTelemetryResponse) or not answer.HasField("accepted"):
            raise Refused(f"not opened: {answer}")
        reading = asyncio.create_task(self._read(heard))
        self._opened.push_async_callback(_ended, reading)

    async def _read(self, heard: Heard) -> None:
        try:
            while isinstance(answer := await self._stream.read(), pb.StreamTelemetryResponse):
                if answer.HasField("ack"):
                    heard(answer.ack.seq)
                elif answer.HasField("reject"):
                    self._lost(answer.reject.reason)
            self._lost("the stream ended")
        except grpc.RpcError as error:
            self._lost(str(error))

    async def send(self, batch: telemetry_pb2.Batch) -> None:
        """Sends a batch."""
        await self._stream.write(pb.StreamTelemetryRequest(batch=batch))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Shard:
    """A stream to training, with the frames of many sessions."""

    def __init__(self, stream: Any, lost: Lost) -> None:
        self._stream = stream
        self._lost = lost
        self._heard: dict[str, Heard] = {}
        self._opening: dict[str, asyncio.Future[None]] = {}
        self._gathered = tracker_service_pb2.IngestTelemetryRequest()

    async def open(self, session: str, description: Description, heard: Heard) -> None:
        """Opens a session and waits for the answer."""
        self._heard[session] = heard
        self._opening[session] = asyncio.get_running_loop().create_future()
        self._gathered.frames.add(session=session, epoch=1).open.CopyFrom(description)
        async with asyncio.timeout(LIMIT_S):
            await self._opening[session]

    def add(self, session: str, batch: telemetry_pb2.Batch) -> None:
        """Puts a batch into the next message."""
        self._gathered.frames.add(session=session, epoch=1).batch.CopyFrom(batch)

    async def write(self) -> None:
        """Sends what gathers, until cancelled."""
        while True:
            await asyncio.sleep(GATHER_S)
            if self._gathered.frames:
                message = self._gathered
                self._gathered = tracker_service_pb2.IngestTelemetryRequest()
                await self._stream.write(message)

    async def read(self) -> None:
        """Hears the answers, until cancelled."""
        try:
            async for answer in self._stream:
                for result in answer.results:
                    self._take(result)
            self._lost("the stream ended")
        except grpc.RpcError as error:
            self._lost(str(error))

    def _take(self, result: tracker_service_pb2.SessionResult) -> None:
        kind = result.WhichOneof("result")
        if kind == "acknowledged_seq":
            self._heard[result.session](result.acknowledged_seq)
        elif kind == "opened":
            self._opening.pop(result.session).set_result(None)
        else:
            self._lost(f"{result}")


class TrainingLine:
    """A session's place on a shard."""

    waits = False

    def __init__(self, shard: Shard, user: str) -> None:
        self._shard = shard
        self._session = f"{user}/sessions/{uuid.uuid4()}"

    async def open(self, description: Description, heard: Heard) -> None:
        """Opens the session."""
        await self._shard.open(self._session, description, heard)

    async def send(self, batch: telemetry_pb2.Batch) -> None:
        """Sends a batch."""
        self._shard.add(self._session, batch)


@asynccontextmanager
async def through_the_edge(world: World, count: int, lost: Lost) -> AsyncIterator[list[Line]]:
    """So many streams of watches, on a few connections."""
    metadata = (await world.writer.sign_in()).metadata
    async with AsyncExitStack() as opened:
        stubs = []
        for _ in range(min(count, CONNECTIONS)):
            channel = grpc.aio.insecure_channel(world.stack.target, options=OWN_CONNECTION)
            opened.push_async_callback(channel.close, None)
            stubs.append(TelemetryServiceStub(channel))
        lines: list[Line] = []
        for place in range(count):
            start = partial(stubs[place % len(stubs)].StreamTelemetry, None, metadata=metadata)
            lines.append(EdgeLine(start, lost, opened))
        yield lines


@asynccontextmanager
async def at_training(world: World, count: int, lost: Lost) -> AsyncIterator[list[Line]]:
    """So many sessions on integration's streams, past the mesh: to the worker's own socket."""
    places = world.stack.places
    peer = f"By=spiffe://x;Hash=00;URI={catalog.spiffe_id('integration')}"
    metadata = ((PROOF_HEADER, places.proof.read_text().strip()), (PEER_HEADER, peer))
    tasks = []
    async with grpc.aio.insecure_channel(f"unix:{places.run}/training-0.sock") as channel:
        stub = TrackerServiceStub(channel)
        shards = [Shard(stub.IngestTelemetry(None, metadata=metadata), lost) for _ in range(SHARDS)]
        for shard in shards:
            tasks += [asyncio.create_task(shard.write()), asyncio.create_task(shard.read())]
        try:
            yield [
                TrainingLine(shards[place % SHARDS], world.writer.user) for place in range(count)
            ]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
