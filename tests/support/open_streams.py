"""Many streams through the edge at once, of every kind, watched for being cut.

Owns a thread with a loop of its own, in which they are read all the time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import httpx

from palestra.integration.v1 import telemetry_service_pb2, telemetry_service_pb2_grpc
from palestra.training.v1 import activity_service_pb2, activity_service_pb2_grpc
from tests.support.mesh_stack import MeshStack, until

NAME = "users/me/activities/a1"
PING_S = 0.1
CHANNELS = 5


class OpenStreams:
    """`grpc` watches, `rest` watches over HTTP/1.1, and `both` streams in both directions."""

    def __init__(self, mesh: MeshStack, grpc: int, rest: int, both: int) -> None:
        self._mesh = mesh
        self._headers = {"authorization": f"Bearer {mesh.token()}"}
        self._counts = (grpc, rest, both)
        self.beats = [0] * (grpc + rest + both)
        self.ended: list[str] = []
        """Why streams ended, that should not have."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self) -> None:
        """Opens them and waits until each has brought something."""
        self._thread.start()
        self.check()

    def stop(self) -> None:
        """Closes them."""
        self._closing.set()
        self._thread.join()

    def check(self) -> None:
        """Each stream must be open, and bring something from now on."""
        before = list(self.beats)
        until(lambda: self.ended or all(map(int.__gt__, self.beats, before)), "each to go on", 30)
        assert not self.ended

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            options = [("grpc.use_local_subchannel_pool", 1)]
            channels = [
                await stack.enter_async_context(
                    grpc.aio.insecure_channel(self._mesh.target, options=options)
                )
                for _ in range(CHANNELS)
            ]
            limits = httpx.Limits(max_connections=self._counts[1])
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=self._mesh.url, timeout=60, limits=limits)
            )
            ways = self._ways(channels, client)
            tasks = [asyncio.create_task(self._kept(each)) for each in ways]
            while not self._closing.is_set():
                await asyncio.sleep(PING_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ways(
        self, channels: list[grpc.aio.Channel], client: httpx.AsyncClient
    ) -> Iterator[Coroutine[Any, Any, None]]:
        watches, rest, both = self._counts
        for number in range(watches + rest + both):
            channel = channels[number % CHANNELS]
            if number < watches:
                yield self._watch(number, channel)
            elif number < watches + rest:
                yield self._read(number, client)
            else:
                yield self._ping(number, channel)

    async def _kept(self, way: Coroutine[Any, Any, None]) -> None:
        try:
            await way
            self.ended.append("ended by itself")
        except (grpc.aio.AioRpcError, httpx.HTTPError) as error:
            self.ended.append(repr(error))

    async def _watch(self, number: int, channel: grpc.aio.Channel) -> None:
        stub = activity_service_pb2_grpc.ActivityServiceStub(channel)
        request = activity_service_pb2.WatchActivityRequest(name=NAME)
        async for _ in stub.WatchActivity(request, metadata=tuple(self._headers.items())):
            self.beats[number] += 1

    async def _read(self, number: int, client: httpx.AsyncClient) -> None:
        async with client.stream("GET", f"/v1/{NAME}:watch", headers=self._headers) as answer:
            async for line in answer.aiter_lines():
                if "heartRateBpm" in line:
                    self.beats[number] += 1

    async def _ping(self, number: int, channel: grpc.aio.Channel) -> None:
        stub = telemetry_service_pb2_grpc.TelemetryServiceStub(channel)

        async def pings() -> AsyncIterator[telemetry_service_pb2.StreamTelemetryRequest]:
            while True:
                ping = telemetry_service_pb2.ClockPing()
                yield telemetry_service_pb2.StreamTelemetryRequest(clock_ping=ping)
                await asyncio.sleep(PING_S)

        async for _ in stub.StreamTelemetry(pings(), metadata=tuple(self._headers.items())):
            self.beats[number] += 1
