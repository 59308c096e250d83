"""A session's line as a call of StreamTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from grpc.aio import InternalError

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.integration.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from palestra_client import error_of
from palestra_watch.line import Dial, ended, meaning
from palestra_watch.session import SessionRefused, StreamBroken

if TYPE_CHECKING:
    from grpc.aio import StreamStreamCall

    Call = StreamStreamCall[pb.StreamTelemetryRequest, pb.StreamTelemetryResponse]


def over_grpc(channel: grpc.aio.Channel) -> Dial:
    """Lines over a channel."""
    stub = TelemetryServiceStub(channel)

    async def dial(token: str) -> GrpcLine:
        return GrpcLine(
            stub.StreamTelemetry(None, metadata=(("authorization", f"Bearer {token}"),))
        )

    return dial


class GrpcLine:
    """One call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._written = False

    async def write(self, message: pb.StreamTelemetryRequest) -> None:
        """As `Line` has it."""
        call: Any = self._call
        try:
            if not self._written:
                await self._call.wait_for_connection()
            if self._call.done():
                raise await self._end()
            # What `write` does, but for one thing: where the call ends meanwhile, `write`
            # replaces the reason that was sent by INTERNAL, for the reader too (grpc 1.85).
            await call._cython_call.send_serialized_message(message.SerializeToString())  # noqa: SLF001
            self._written = True
        except grpc.aio.AioRpcError as error:
            raise meaning(error_of(error)) from error
        except InternalError as error:
            raise await self._end() from error

    async def _end(self) -> StreamBroken | SessionRefused:
        """Why the call takes no more messages."""
        call = self._call
        code, trailers = await call.code(), await call.trailing_metadata()
        if code is grpc.StatusCode.OK:
            return ended()
        told = grpc.aio.AioRpcError(
            code, await call.initial_metadata(), trailers, await call.details(), None
        )
        return meaning(error_of(told))

    async def read(self) -> pb.StreamTelemetryResponse:
        """As `Line` has it."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise meaning(error_of(error)) from error
        if not isinstance(message, pb.StreamTelemetryResponse):
            raise ended()
        return message

    async def close(self) -> None:
        """As `Line` has it."""
        self._call.cancel()
