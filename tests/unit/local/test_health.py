"""The health client's own HTTP/2, against grpc's server and against nonsense."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from mesh.local import health
from mesh.local.spec import Health


@asynccontextmanager
async def server(path: Path) -> AsyncIterator[Any]:
    servicer = importlib.import_module("grpc_health.v1.health").aio.HealthServicer()
    made = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, made)
    made.add_insecure_port(f"unix:{path}")
    await made.start()
    try:
        yield servicer
    finally:
        await made.stop(None)


@pytest.fixture
def path() -> Any:
    with TemporaryDirectory(prefix="pal-") as folder:
        yield Path(folder) / "w.sock"


async def until(answers: Any, wanted: Health) -> None:
    async for answer in answers:
        if answer is wanted:
            return


async def test_every_change_is_heard_at_once(path: Path) -> None:
    async with server(path) as servicer, aclosing(health.worker(path)(0)) as answers:
        for status, wanted in (
            (HealthCheckResponse.NOT_SERVING, Health.NOT_SERVING),
            (HealthCheckResponse.SERVING, Health.SERVING),
            (HealthCheckResponse.NOT_SERVING, Health.NOT_SERVING),
            (HealthCheckResponse.SERVING, Health.SERVING),
        ):
            await servicer.set("", status)
            await asyncio.wait_for(until(answers, wanted), 1.0)


async def test_a_drain_is_not_held_up_by_the_watch(path: Path) -> None:
    servicer = importlib.import_module("grpc_health.v1.health").aio.HealthServicer()
    made = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, made)
    made.add_insecure_port(f"unix:{path}")
    await made.start()
    await servicer.set("", HealthCheckResponse.SERVING)
    async with aclosing(health.worker(path)(0)) as answers:
        await asyncio.wait_for(until(answers, Health.SERVING), 1.0)
        heard = asyncio.create_task(until(answers, Health.NOT_SERVING))
        await servicer.enter_graceful_shutdown()
        await heard
        # The probe closes its call when it goes on.
        going_on = asyncio.create_task(anext(answers))
        await asyncio.wait_for(made.stop(30.0), 5.0)
        await going_on


async def test_nobody_and_a_dead_server_are_silence(path: Path) -> None:
    async with aclosing(health.worker(path)(0)) as answers:
        assert await anext(answers) is Health.SILENT
        async with server(path) as servicer:
            await servicer.set("", HealthCheckResponse.SERVING)
            await asyncio.wait_for(until(answers, Health.SERVING), 1.0)
        await asyncio.wait_for(until(answers, Health.SILENT), 2.0)


async def test_a_server_without_health_is_not_serving(path: Path) -> None:
    made = grpc.aio.server()
    made.add_insecure_port(f"unix:{path}")
    await made.start()
    async with aclosing(health.worker(path)(0)) as answers:
        assert await anext(answers) is Health.NOT_SERVING
    await made.stop(None)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0", b"\xff" * 64])
async def test_nonsense_is_silence(path: Path, reply: bytes) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        writer.close()

    listening = await asyncio.start_unix_server(answer, path)
    async with aclosing(health.worker(path)(0)) as answers:
        assert await asyncio.wait_for(anext(answers), 2.0) is Health.SILENT
    listening.close()
