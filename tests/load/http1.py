"""An HTTP/1.1 client that costs little, so that what is measured is the server.

Knows what the edge answers to a request without surprises: a status, a length, a body.
Not a client for anything else.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

LARGEST_HEAD = 64 << 10
LARGEST_BODY = 16 << 20
TIMEOUT_S = 10.0


class NotUnderstood(Exception):
    """An answer that this client does not know how to read."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def request(
    method: str, path: str, *, host: str, token: str = "", body: dict[str, Any] | None = None
) -> bytes:
    """A whole request, ready to be sent again and again."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}"]
    if token:
        lines.append(f"authorization: Bearer {token}")
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def parse_head(head: bytes) -> tuple[int, int]:
    """The status and the body's length.

    Raises:
        NotUnderstood: it is no answer with a length.
    """
    status_line, *fields = head.decode("latin-1").split("\r\n")
    parts = status_line.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        raise NotUnderstood(status_line)
    for field in fields:
        name, _, value = field.partition(":")
        if name.lower() == "content-length":
            return int(parts[1]), int(value)
    raise NotUnderstood("an answer without a content-length")


class Connection:
    """One connection, used for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Connects."""
        return cls(*await asyncio.open_connection(host, port, limit=LARGEST_HEAD))

    async def ask(self, request: bytes) -> Answer:
        """Sends a request and reads its answer.

        Raises:
            NotUnderstood, OSError, EOFError, TimeoutError
        """
        async with asyncio.timeout(TIMEOUT_S):
            self._writer.write(request)
            head = await self._reader.readuntil(b"\r\n\r\n")
            status, length = parse_head(head)
            if length > LARGEST_BODY:
                raise NotUnderstood(f"a body of {length} bytes")
            return Answer(status, await self._reader.readexactly(length))

    def close(self) -> None:
        """Closes it."""
        self._writer.close()
