"""A worker's health over grpc.health.v1, without the grpc library.

A process that forks must not import grpc, and the supervisor forks; so this holds
the few frames of HTTP/2 that one server-streaming call needs. Decides nothing but
the answer: SERVING, not serving, or silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from mesh.local.probes import ANSWER_S, polled
from mesh.local.spec import Health, Probe

_AGAIN_S = 0.1
_RENEW_S = 10.0
_FRAME_BYTES = 1 << 14
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_STREAM = 1


def _literal(text: bytes) -> bytes:
    return bytes([len(text)]) + text


# HPACK without a table or Huffman code: indexed names, literal values (RFC 7541, A).
_REQUEST_HEADERS = (
    b"\x83\x86\x04"  # :method POST, :scheme http, :path
    + _literal(b"/grpc.health.v1.Health/Watch")
    + b"\x01" + _literal(b"localhost")
    + b"\x0f\x10" + _literal(b"application/grpc")
    + b"\x00" + _literal(b"te") + _literal(b"trailers")
)  # fmt: skip
_EMPTY_MESSAGE = b"\0\0\0\0\0"
_SERVING = b"\x08\x01"


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


_OPENING = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + _frame(_SETTINGS, 0, 0)
    + _frame(_HEADERS, _END_HEADERS, _STREAM, _REQUEST_HEADERS)
    + _frame(_DATA, _END_STREAM, _STREAM, _EMPTY_MESSAGE)
)


class HealthWatch:
    """One Watch call for the whole server (service ""), on its own connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._message = b""

    @classmethod
    async def open(cls, socket: Path) -> HealthWatch:
        """Connects and asks.

        Raises:
            OSError: nobody listens.
        """
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(_OPENING)
        return cls(reader, writer)

    def close(self) -> None:
        """Ends the call by closing its connection."""
        self._writer.close()

    async def next(self) -> Health:
        """The next status that the server tells; NOT_SERVING also where it ends the call.

        Raises:
            EOFError, OSError: the connection broke.
        """
        while True:
            status = self._take()
            if status is not None:
                return status
            if await self._read_frame():
                return Health.NOT_SERVING

    def _take(self) -> Health | None:
        if len(self._message) < 5:
            return None
        end = 5 + int.from_bytes(self._message[1:5])
        if end > _FRAME_BYTES:
            raise EOFError("not a health answer")
        if len(self._message) < end:
            return None
        body, self._message = self._message[5:end], self._message[end:]
        return Health.SERVING if body == _SERVING else Health.NOT_SERVING

    async def _read_frame(self) -> bool:
        """Handles one frame; true where the server ended the call."""
        head = await self._reader.readexactly(9)
        size, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        if size > _FRAME_BYTES:
            raise EOFError("not HTTP/2")
        payload = await self._reader.readexactly(size)
        if kind == _SETTINGS and not flags & _ACK:
            self._writer.write(_frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and not flags & _ACK:
            self._writer.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _DATA:
            # gRPC servers pad nothing. The windows are never refilled: a call is
            # renewed long before 64 KiB of seven-byte answers.
            self._message += payload
        return kind in (_DATA, _HEADERS) and bool(flags & _END_STREAM)


def answers(socket: Path) -> Probe:
    """A gRPC server without a health service is ready when it answers, whatever it says.

    The control plane is asked so: its own report tells of the proxies as well, which
    can only be well after it.
    """

    async def check(_pid: int) -> bool:
        watch = await HealthWatch.open(socket)
        try:
            await watch.next()
        finally:
            watch.close()
        return True

    return polled(check)


def worker(socket: Path) -> Probe:
    """A worker serves from when it says so until it says otherwise or falls silent."""

    async def probe(_pid: int) -> AsyncGenerator[Health, None]:
        while True:
            try:
                watch = await HealthWatch.open(socket)
                try:
                    async with asyncio.timeout(ANSWER_S):
                        health = await watch.next()
                    yield health
                    # The call is held only while it serves: a held call delays a drain.
                    while health is Health.SERVING:
                        try:
                            async with asyncio.timeout(_RENEW_S):
                                health = await watch.next()
                        except TimeoutError:
                            break
                        yield health
                finally:
                    watch.close()
                if health is Health.SERVING:
                    continue
            except (OSError, EOFError, TimeoutError):
                yield Health.SILENT
            await asyncio.sleep(_AGAIN_S)

    return probe
