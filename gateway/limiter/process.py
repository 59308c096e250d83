"""The process: settings, start, drain, end.

Owns the gRPC server and its bounds. It serves whether or not Redis is there.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from pathlib import Path

import grpc
import structlog
import uvloop
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse

from gateway.limiter import rpc
from gateway.limiter.asked import DescriptorError, Reader
from gateway.limiter.decider import Decider
from gateway.limiter.settings import LimiterSettings
from gateway.limiter.shared import SharedWindows
from mesh import catalog
from mesh.runtime import logs, metrics, settings

MOST_QUESTIONS = 4096
"""Under way at once; beyond, the edge is told so at once and goes on."""
_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 64 << 10),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)
_log = structlog.get_logger(__name__)


def main() -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        SystemExit: a setting is wrong; says which.
    """
    try:
        told = settings.read(LimiterSettings)
        reader = Reader(told.mesh_proof_file.read_bytes().strip())
    except (settings.SettingsError, DescriptorError, OSError) as error:
        raise SystemExit(f"{catalog.LIMITER}: {error}") from None
    logs.configure(catalog.LIMITER, told.worker, told.log_level)
    uvloop.run(run(told, reader))


async def run(told: LimiterSettings, reader: Reader) -> None:
    """Serves until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    shared = SharedWindows(told.redis_url, told.limiter_patience_ms / 1000)
    counting = asyncio.create_task(shared.run())
    health = HealthServicer()
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MOST_QUESTIONS)
    server.add_generic_rpc_handlers((rpc.handlers(rpc.Limiter(reader, Decider(shared))),))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    exporter = await metrics.serve(told.metrics)
    if told.listen.startswith("unix:"):
        Path(told.listen.removeprefix("unix:")).unlink(missing_ok=True)
    server.add_insecure_port(told.listen)
    await server.start()
    await health.set("", HealthCheckResponse.SERVING)
    gc.collect()
    gc.freeze()
    _log.info("serving", address=told.listen)
    waiting = asyncio.create_task(stop.wait())
    try:
        # Counting ends by a mistake of ours only: the supervisor starts us anew.
        await asyncio.wait([counting, waiting], return_when=asyncio.FIRST_COMPLETED)
        _log.info("draining")
        await health.set("", HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(told.drain_s)
        await server.stop(told.grace_s)
    finally:
        for task in (waiting, counting):
            task.cancel()
        outcomes = await asyncio.gather(waiting, counting, return_exceptions=True)
        if exporter is not None:
            exporter.close()
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    _log.info("stopped")
