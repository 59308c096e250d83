"""An internal client that speaks xDS: `python -m tests.support.direct_client BOOTSTRAP`.

In a process of its own, for gRPC knows one bootstrap a process. Calls a method for each
line that it reads (`gRPC path`), and tells how it ended: `OK` or the code.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import grpc

from palestra_client import open_channel

LIMIT_S = 5.0


async def serve(bootstrap: Path) -> None:
    """Reads and calls until the input ends."""
    channels: dict[str, grpc.aio.Channel] = {}
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        service, path = line.split(" ", 1)
        if service not in channels:
            channels[service] = open_channel(f"xds:///{service}", bootstrap=bootstrap)
        try:
            await channels[service].unary_unary(path, None, None)(b"", timeout=LIMIT_S)
            told = "OK"
        except grpc.aio.AioRpcError as error:
            told = f"{error.code().name} {(error.details() or '').splitlines()[0]}"
        print(told, flush=True)
    for channel in channels.values():
        await channel.close(None)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
