"""A worker that is healthy, and fails every call: it counts each that comes to it.

`python -m tests.support.failing_worker SOCKET COUNTS KIND`; a line with its path is added
to the file COUNTS for every call. KIND is `unavailable`, an answer; `reset`, the stream
torn down; or `fine`, an answer without a message's fields. Asked for its health it always SERVES.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded

_CHUNK = 1 << 16
_SERVING = b"\0\0\0\0\2\x08\x01"
_EMPTY = b"\0\0\0\0\0"
_GRPC = [(":status", "200"), ("content-type", "application/grpc")]


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, counts: Path, kind: str) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._counts, self._kind = counts, kind
        self._paths: dict[int, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._h2.initiate_connection()
        self._send()

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, RequestReceived):
                headers = {str(name): str(value) for name, value in event.headers}
                self._paths[event.stream_id] = headers[":path"]
            elif isinstance(event, DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self._answer(event.stream_id, self._paths.pop(event.stream_id))
        self._send()

    def _answer(self, stream: int, path: str) -> None:
        if path == "/grpc.health.v1.Health/Check":
            self._say(stream, _SERVING)
            return
        with self._counts.open("a") as file:
            file.write(f"{path}\n")
        if self._kind == "fine":
            self._say(stream, _EMPTY)
        elif self._kind == "reset":
            self._h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
        else:
            said = [("grpc-status", "14"), ("grpc-message", "out of order")]
            self._h2.send_headers(stream, [*_GRPC, *said], end_stream=True)

    def _say(self, stream: int, message: bytes) -> None:
        self._h2.send_headers(stream, _GRPC)
        self._h2.send_data(stream, message)
        self._h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def _send(self) -> None:
        self._transport.write(self._h2.data_to_send())


async def serve(socket: Path, counts: Path, kind: str) -> None:
    """Serves until SIGTERM."""
    socket.unlink(missing_ok=True)
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Peer(counts, kind), str(socket))
    socket.chmod(0o600)
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    await ending.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
