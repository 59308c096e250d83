"""A device of the tests: it says what it is told to, and tells what it hears."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import grpc

from mesh.runtime.ids import user_id
from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.integration.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from tests.support.fake_device import batch, opening
from tests.support.grpc_errors import reason_of
from tests.support.made_tokens import Signer
from tests.support.served import as_edge
from tests.system.integration.line import LineUnderTest

if TYPE_CHECKING:
    from grpc.aio import StreamStreamCall

    Stream = StreamStreamCall[pb.StreamTelemetryRequest, pb.StreamTelemetryResponse]

SCOPES = ("telemetry.write",)
SOON_S = 5.0


class Watch:
    """A device that says what the test tells it to."""

    def __init__(
        self,
        line: LineUnderTest,
        signer: Signer,
        *,
        lives_s: int = 900,
        user: uuid.UUID | None = None,
        channel: grpc.aio.Channel | None = None,
    ) -> None:
        self.user = user or user_id(0)
        self.id = str(uuid.uuid4())
        self.session = f"users/{self.user}/sessions/{self.id}"
        self._metadata = as_edge(signer.token(self.user, SCOPES, lifetime_s=lives_s))
        self._stub = TelemetryServiceStub(channel or line.channel)
        self.stream: Stream = self._stub.StreamTelemetry(None, metadata=self._metadata)

    def again(self) -> Watch:
        """The same session on another stream."""
        other = object.__new__(Watch)
        other.__dict__.update(self.__dict__)
        other.stream = self._stub.StreamTelemetry(None, metadata=self._metadata)
        return other

    async def say(self, **message: Any) -> None:
        await self.stream.write(pb.StreamTelemetryRequest(**message))

    async def send(self, *seqs: int) -> None:
        for seq in seqs:
            await self.say(batch=batch(seq))

    async def open(self, epoch: int = 1) -> pb.Accepted:
        await self.stream.write(opening(self.id, epoch))
        return (await self.hear("accepted")).accepted

    async def hear(self, kind: str) -> pb.StreamTelemetryResponse:
        """The next answer, which must be of a kind."""
        answer = await self.heard()
        assert answer.WhichOneof("message") == kind, answer
        return answer

    async def heard(self) -> pb.StreamTelemetryResponse:
        """The next answer."""
        answer = await asyncio.wait_for(self.stream.read(), SOON_S)
        assert isinstance(answer, pb.StreamTelemetryResponse), "the stream ended"
        return answer

    async def rejected(self) -> tuple[int, str, int]:
        told = (await self.hear("reject")).reject
        assert told.detail
        return told.seq, told.reason, told.resume_from_seq

    async def acknowledged(self, seq: int) -> None:
        """Hears acknowledgements up to one."""
        last = 0
        while last < seq:
            last = (await self.hear("ack")).ack.seq
        assert last == seq

    async def ends(self) -> str:
        """The reason with which the stream ends; empty where it ends well."""
        try:
            answer = await asyncio.wait_for(self.stream.read(), SOON_S)
        except grpc.aio.AioRpcError as error:
            return reason_of(error)
        assert not isinstance(answer, pb.StreamTelemetryResponse), answer
        return ""

    async def lives(self) -> None:
        """The stream answers."""
        await self.say(clock_ping=pb.ClockPing())
        await self.hear("clock_pong")
