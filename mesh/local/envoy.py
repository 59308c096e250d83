"""Asks an Envoy's admin interface over its unix socket. Reads only."""

from __future__ import annotations

import asyncio
from pathlib import Path

_MOST_BYTES = 4 << 20


async def get(admin: Path, path: str) -> bytes:
    """The whole reply to GET, head and body, at most 4 MiB of it.

    Raises:
        OSError: nobody listens.
        EOFError: it closed without a word.
    """
    reader, writer = await asyncio.open_unix_connection(admin)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
        reply = bytearray()
        while len(reply) < _MOST_BYTES and (part := await reader.read(1 << 16)):
            reply += part
    finally:
        writer.close()
    if not reply:
        raise EOFError
    return bytes(reply)
