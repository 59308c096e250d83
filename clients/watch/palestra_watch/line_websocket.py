"""A session's line as a WebSocket: the same messages, a frame each.

Owns the frames and what the handshake and the close frame mean. The last frame of a line
that ended with an error says which; see docs/websocket.md.
"""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import json_format
from google.protobuf.message import DecodeError

# The types inside a status must be known before they can be read.
from google.rpc import (
    error_details_pb2,  # noqa: F401
    status_pb2,
)

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra_client import error_of_status, is_this_machine
from palestra_watch.line import Dial, ended, meaning
from palestra_watch.session import SessionRefused, StreamBroken

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.http11 import Response

PATH = "/ws/v1/telemetry"
OPEN_WITHIN_S = 10.0
CLOSE_WITHIN_S = 1.0
LARGEST_ANSWER_BYTES = 1 << 20
WAITING_ANSWERS = 64
_PROTOCOL = "palestra.telemetry.v1"


def over_websocket(target: str, *, as_json: bool = False, ca: Path | None = None) -> Dial:
    """Lines to `target`, `host:port`; under TLS unless it is this machine, or with a `ca`.

    That file vouches for the server, as PEM; the usual authorities do where absent.

    Raises:
        OSError: it cannot be read.
    """
    plain = ca is None and is_this_machine(target)
    url = f"{'ws' if plain else 'wss'}://{target}{PATH}"
    trusted = None if plain else ssl.create_default_context(cafile=ca)

    async def dial(token: str) -> WebSocketLine:
        return WebSocketLine(await _connect(url, token, trusted, as_json=as_json), as_json=as_json)

    return dial


async def _connect(
    url: str, token: str, trusted: ssl.SSLContext | None, *, as_json: bool
) -> ClientConnection:
    # Loaded where it is wanted: most watches speak gRPC.
    from websockets import InvalidHandshake, InvalidStatus, Subprotocol
    from websockets.asyncio.client import connect

    try:
        return await connect(
            url,
            ssl=trusted,
            subprotocols=[Subprotocol(f"{_PROTOCOL}.{'json' if as_json else 'binary'}")],
            additional_headers={"authorization": f"Bearer {token}"},
            compression=None,
            open_timeout=OPEN_WITHIN_S,
            close_timeout=CLOSE_WITHIN_S,
            max_size=LARGEST_ANSWER_BYTES,
            max_queue=WAITING_ANSWERS,
        )
    except InvalidStatus as refused:
        raise _refusal(refused.response) from refused
    except (InvalidHandshake, OSError, EOFError) as error:
        raise StreamBroken(f"the server could not be reached: {error}") from error


def _refusal(response: Response) -> StreamBroken | SessionRefused:
    """What a refused handshake says in its JSON body."""
    try:
        document = json.loads(bytes(response.body or b""))
        status = json_format.ParseDict(document, status_pb2.Status(), ignore_unknown_fields=True)
    except (ValueError, TypeError, AttributeError, json_format.ParseError):
        return StreamBroken(f"the server refused the WebSocket with {response.status_code}")
    return meaning(error_of_status(status))


class WebSocketLine:
    """One connection."""

    def __init__(self, connection: ClientConnection, *, as_json: bool) -> None:
        self._connection = connection
        self._as_json = as_json

    async def write(self, message: pb.StreamTelemetryRequest) -> None:
        """As `Line` has it."""
        from websockets import ConnectionClosed

        frame = _as_text(message) if self._as_json else message.SerializeToString()
        try:
            await self._connection.send(frame)
        except ConnectionClosed as closed:
            raise StreamBroken("the stream takes no more messages") from closed

    async def read(self) -> pb.StreamTelemetryResponse:
        """As `Line` has it."""
        from websockets import ConnectionClosed

        try:
            frame = await self._connection.recv()
        except ConnectionClosed as closed:
            told = closed.rcvd
            if told is not None and told.code == 1000:
                raise ended() from closed
            raise StreamBroken(f"the connection was cut: {closed}") from closed
        answer = _read(frame)
        if answer.WhichOneof("message") == "error":
            raise meaning(error_of_status(answer.error))
        return answer

    async def close(self) -> None:
        """As `Line` has it."""
        await self._connection.close()


def _as_text(message: pb.StreamTelemetryRequest) -> str:
    return json.dumps(json_format.MessageToDict(message), separators=(",", ":"))


def _read(frame: str | bytes) -> pb.StreamTelemetryResponse:
    try:
        if isinstance(frame, bytes):
            return pb.StreamTelemetryResponse.FromString(frame)
        # What a newer server says besides is not for us.
        return json_format.Parse(frame, pb.StreamTelemetryResponse(), ignore_unknown_fields=True)
    except (DecodeError, json_format.ParseError) as error:
        raise StreamBroken("the server's words cannot be understood") from error
