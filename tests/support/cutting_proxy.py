"""A way to a unix socket on which an answer can be lost: it arrives here, and goes no further."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_CHUNK_BYTES = 1 << 16


@asynccontextmanager
async def cutting_proxy(
    listen: Path, target: Path, cuts: Callable[[bytes], bool]
) -> AsyncIterator[None]:
    """Passes everything on; where `cuts` says so of a piece of an answer, it cuts instead."""
    ways: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(target)
        both = [
            asyncio.create_task(_pass_on(reader, far_writer, lambda _: False)),
            asyncio.create_task(_pass_on(far_reader, writer, cuts)),
        ]
        ways.update(both)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for way in both:
            way.cancel()
        for side in (writer, far_writer):
            side.close()
            with suppress(OSError):
                await side.wait_closed()

    server = await asyncio.start_unix_server(serve, listen)
    try:
        yield
    finally:
        server.close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cuts: Callable[[bytes], bool]
) -> None:
    with suppress(OSError):
        while piece := await reader.read(_CHUNK_BYTES):
            if cuts(piece):
                return
            writer.write(piece)
            await writer.drain()
