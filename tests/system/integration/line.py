"""The telemetry RPC in this process, between test devices and a stand-in for training."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from mesh.runtime.channel import MeshChannel
from palestra.training.v1.tracker_service_pb2_grpc import TrackerServiceStub
from services.integration.telemetry.flow import TelemetryFlow
from services.integration.telemetry.rpc import TelemetryRpc
from services.integration.telemetry.rules import Limits
from services.integration.telemetry.shards import Shards, ShardSettings
from tests.support.fake_training import FakeTraining, Ledger
from tests.support.made_tokens import Signer
from tests.support.served import Served, served, verifier_of


@dataclass(frozen=True, slots=True)
class LineUnderTest:
    """What a test of the line works with."""

    channel: grpc.aio.Channel
    flow: TelemetryFlow
    shards: Shards
    training: FakeTraining
    ledger: Ledger
    server: Served


@asynccontextmanager
async def line_under_test(
    folder: Path,
    signer: Signer,
    *,
    age_s: float = 60.0,
    idle_s: float = 90.0,
    held_bytes: int = 256 << 20,
    limits: Limits | None = None,
) -> AsyncIterator[LineUnderTest]:
    """Runs all three until the block is left; then nothing of them may be left."""
    before = asyncio.all_tasks()
    training = FakeTraining(f"unix:{folder}/training.sock", Ledger())
    await training.start()
    mesh = MeshChannel(training.address)
    stub = TrackerServiceStub(mesh.for_stubs())
    shards = Shards(lambda: stub.IngestTelemetry(None), ShardSettings(4, age_s, held_bytes))
    stopping = asyncio.Event()
    flow = TelemetryFlow(shards, verifier_of(signer), stopping, limits or Limits(), idle_s)
    work = [
        asyncio.create_task(shards.run()),
        asyncio.create_task(flow.end_all_when_stopping()),
    ]
    rpc = TelemetryRpc(flow)
    try:
        async with (
            served(folder, "integration", [rpc], verifier_of(signer), stopping) as server,
            server.channel() as channel,
        ):
            yield LineUnderTest(channel, flow, shards, training, training.ledger, server)
        assert not work[0].done(), "the shards ended"
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await mesh.close()
        training.gate.set()
        await training.die()
    await _nothing_is_left(before, flow, shards)


async def _nothing_is_left(
    before: set[asyncio.Task[Any]], flow: TelemetryFlow, shards: Shards
) -> None:
    here = asyncio.current_task()
    left = asyncio.all_tasks() - before - {here}
    if left:
        await asyncio.wait(left, timeout=2)
    assert not [task for task in left if not task.done()]
    assert not flow.streams
    assert not flow.live
    assert shards.held_bytes == 0
    assert shards.sessions == 0
