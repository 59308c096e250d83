"""What a session is streamed over: messages there and back, and what their end means.

Owns the meaning of the server's errors for a session. How messages travel is
`line_grpc`'s and `line_websocket`'s; what they say is `session`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import grpc

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra_client import PalestraError
from palestra_watch.session import SessionRefused, StreamBroken

_FATAL = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class Line(Protocol):
    """One opened line; every method raises StreamBroken or SessionRefused at its end."""

    async def write(self, message: pb.StreamTelemetryRequest) -> None:
        """Sends a message; waits while the server does not read on."""
        ...

    async def read(self) -> pb.StreamTelemetryResponse:
        """The next answer."""
        ...

    async def close(self) -> None:
        """Gives the line up; raises nothing."""
        ...


Dial = Callable[[str], Awaitable[Line]]
"""An access token -> a fresh line. Raises StreamBroken or SessionRefused where there is none."""


def meaning(told: PalestraError) -> StreamBroken | SessionRefused:
    """What an error of the server's means for the session."""
    if told.reason in ("SESSION_ENDED", "SESSION_FENCED"):
        return StreamBroken(told.message, fenced=True)
    if told.code is grpc.StatusCode.UNAUTHENTICATED:
        return StreamBroken(str(told), signed_out=True)
    if told.code in _FATAL:
        return SessionRefused(told.reason or told.code.name, told.message)
    return StreamBroken(str(told))


def ended() -> StreamBroken:
    """The server ended the line as it should, in the middle of the session."""
    return StreamBroken("the server ended the stream")
