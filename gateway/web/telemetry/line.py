"""One call of StreamTelemetry as the edge, carrying messages as bytes.

Owns what a failed call says: the service's own status where it sent one, a masked one
otherwise. Decides nothing about what is carried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc.aio import AioRpcError

from gateway import pages
from mesh.runtime import writing
from mesh.runtime.errors import DETAILS_KEY, status_of

if TYPE_CHECKING:
    from grpc.aio import Channel, StreamStreamCall


class LineClosed(Exception):
    """The call takes no more messages; its end says why."""


class LineFailed(Exception):
    """The call ended with an error."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class Line:
    """The stream to integration of one device."""

    def __init__(self, channel: Channel, metadata: tuple[tuple[str, str], ...]) -> None:
        method = channel.stream_stream(pages.TELEMETRY.bridges, None, None)
        self._call: StreamStreamCall[bytes, bytes] = method(None, metadata=metadata)

    async def admitted(self) -> None:
        """Waits until integration has taken the call, or refused it.

        A message that meets a refusal on its way can hide it: gRPC then tells of neither.
        """
        await self._call.initial_metadata()

    async def write(self, message: bytes) -> None:
        """Sends a message; waits while integration does not read on.

        Raises:
            LineClosed: it takes no more.
        """
        try:
            await writing.write(self._call, message)
        except asyncio.InvalidStateError as error:
            raise LineClosed from error

    async def done(self) -> None:
        """Says that nothing follows; answers still come."""
        try:
            await self._call.done_writing()
        except (AioRpcError, asyncio.InvalidStateError):
            return

    async def read(self) -> bytes | None:
        """The next answer; None at the end.

        Raises:
            LineFailed: it ended with an error.
        """
        try:
            answer = await self._call.read()
        except AioRpcError as error:
            raise LineFailed(_status(error)) from error
        return answer if isinstance(answer, bytes) else None

    def cancel(self) -> None:
        """Ends it at once; nothing where it has ended."""
        self._call.cancel()


def _status(error: AioRpcError) -> status_pb2.Status:
    # The proxies' refusals have them in the headers that end the call, services in trailers.
    for key, value in (*_pairs(error.trailing_metadata()), *_pairs(error.initial_metadata())):
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_of(error, {})[0]


def _pairs(metadata: Any) -> Iterable[tuple[str, str | bytes]]:
    # The stubs know metadata neither as pairs nor as absent.
    return metadata or ()
