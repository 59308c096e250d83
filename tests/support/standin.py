"""Small real processes that stand in for the mesh's, for tests of the supervisor.

`python -m tests.support.standin KIND ARGUMENT …`; each ends on SIGTERM with status 0.
  control XDS REPORT     a gRPC server, and a control plane's report: ready, all connected
  proxy ADMIN [PORT]     answers GET /ready on a unix socket, and listens on the port
  worker SOCKET          a grpc.aio server with grpc.health.v1; USR1: NOT_SERVING, USR2: SERVING
  broken                 says why and ends with status 7
"""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

from mesh.local.places import read_json, write_json


def _ending() -> asyncio.Event:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    return ending


async def control(xds: str, report: str) -> None:
    import grpc.aio

    ending = _ending()
    server = grpc.aio.server()
    server.add_insecure_port(f"unix:{xds}")
    await server.start()
    content = {"ready": True, "connected": ["edge", "node"], "rejected": []}
    write_json(Path(report), content)
    await ending.wait()
    await server.stop(None)


async def proxy(admin: str, port: str = "") -> None:
    # Whatever it is asked, it is ready, and knows every endpoint that there is.
    endpoints = Path(admin).parents[1] / "mesh" / "endpoints.json"

    async def ready(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Closing with the question unread would reset the connection.
        await reader.readuntil(b"\r\n\r\n")
        paths = (path for each in (read_json(endpoints) or {}).values() for path in each)
        clusters = "".join(f"app::{path}::health_flags::healthy\n" for path in paths)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + clusters.encode())
        writer.close()

    ending = _ending()
    servers = [await asyncio.start_unix_server(ready, admin)]
    if port:
        servers.append(await asyncio.start_server(ready, "127.0.0.1", int(port)))
    await ending.wait()
    for server in servers:
        server.close()


async def worker(socket: str) -> None:
    import grpc.aio
    from grpc_health.v1 import health_pb2_grpc
    from grpc_health.v1.health_pb2 import HealthCheckResponse

    ending = _ending()
    # The type stubs do not know the asyncio servicer.
    servicer = importlib.import_module("grpc_health.v1.health").aio.HealthServicer()
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    changes: set[asyncio.Task[None]] = set()

    def become(status: HealthCheckResponse.ServingStatus.ValueType) -> None:
        changes.add(asyncio.create_task(servicer.set("", status)))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, become, HealthCheckResponse.NOT_SERVING)
    loop.add_signal_handler(signal.SIGUSR2, become, HealthCheckResponse.SERVING)
    await servicer.set("", HealthCheckResponse.SERVING)
    await ending.wait()
    await servicer.enter_graceful_shutdown()
    await server.stop(1.0)


async def broken() -> None:
    print("no such table: athletes", flush=True)
    raise SystemExit(7)


_KINDS: dict[str, Callable[..., Coroutine[None, None, None]]] = {
    "control": control,
    "proxy": proxy,
    "worker": worker,
    "broken": broken,
}

if __name__ == "__main__":
    asyncio.run(_KINDS[sys.argv[1]](*sys.argv[2:]))
