"""A worker of training in this process: its own pool, its own memory, the real stores.

Owns what `mesh.runtime.run` would own of a process, but for signals and metrics. Two of
them share nothing but the stores, as two processes would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psycopg

from mesh import catalog
from mesh.runtime import Host, Parts, migrate, partitions, relay, tasks
from mesh.runtime.blobs import Blobs, BlobSettings
from mesh.runtime.bus import Consumer
from mesh.runtime.channel import MeshChannel
from mesh.runtime.leases import Leases
from mesh.runtime.proof import PEER_HEADER, PROOF_HEADER
from mesh.runtime.revocations import Revocations
from mesh.runtime.service import connect_redis
from mesh.runtime.settings import Settings
from mesh.runtime.sql import Database
from services.training.activities.rpc import ActivityRpc
from services.training.service import SERVICE
from services.training.tracker.flow import TrackerFlow
from services.training.tracker.rpc import TrackerRpc
from tests.support.made_tokens import Signer
from tests.support.served import SECRET, Metadata, Served, served, verifier_of
from tests.support.stores import Stores

TRAINING = "training"
AS_INTEGRATION: Metadata = (
    (PROOF_HEADER, SECRET),
    (PEER_HEADER, f"By=spiffe://x;Hash=00;URI={catalog.spiffe_id('integration')}"),
)


@dataclass(frozen=True, slots=True)
class Worker:
    """What a test reaches of a worker."""

    served: Served
    database: Database
    parts: Parts
    channel: grpc.aio.Channel

    @property
    def tracker(self) -> TrackerFlow:
        """Where a test puts trouble in."""
        (found,) = (each for each in self.parts.servicers if isinstance(each, TrackerRpc))
        return found._flow

    @property
    def activities(self) -> ActivityRpc:
        """The activities' servicer."""
        (found,) = (each for each in self.parts.servicers if isinstance(each, ActivityRpc))
        return found


async def prepare(stores: Stores) -> None:
    """Brings training's schema up to date, as each process does at its start."""
    url = stores.database_url(TRAINING)
    await asyncio.to_thread(migrate.migrate, url, SERVICE.migrations)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await partitions.make_all(connection)


@asynccontextmanager
async def worker(
    folder: Path,
    stores: Stores,
    signer: Signer,
    number: int = 0,
    *,
    on_the_bus: bool = False,
    others: MeshChannel | None = None,
) -> AsyncIterator[Worker]:
    """Serves until the block is left; `on_the_bus`, relays and consumes too.

    `others` is the way to other services, of which there are none else.
    """
    async with AsyncExitStack() as stack:
        database = Database(stores.database_url(TRAINING))
        await database.open()
        stack.push_async_callback(database.close)
        redis = connect_redis(stores.redis_url(TRAINING))
        stack.push_async_callback(redis.aclose)
        nowhere = MeshChannel(f"unix:{folder}/nowhere.sock")
        stack.push_async_callback(nowhere.close)
        mesh = others or nowhere
        own = folder / str(number)
        own.mkdir()
        stopping = asyncio.Event()
        told = Settings(
            TRAINING, "", "", own / "proof", database.url, stores.redis_url(TRAINING), number
        )
        verifier = verifier_of(signer)
        blobs = Blobs(TRAINING, BlobSettings(told.blobs_keys_file, told.blobs_url))
        parts = SERVICE.compose(
            Host(told, database, redis, mesh, None, verifier, Revocations(), blobs, None, stopping)
        )
        work = list(parts.loops)
        if on_the_bus:
            leases = Leases(database.url)
            leases.add("relay", relay.Relay(database.url, redis, TRAINING, 0).run)
            reading = connect_redis(stores.redis_url(TRAINING), repeats=0)
            stack.push_async_callback(reading.aclose)
            for name, consume in Consumer(database, reading, TRAINING, parts.handlers).works():
                leases.add(name, consume)
            work.append(leases.run)
        stack.push_async_callback(_end, [asyncio.create_task(_run(each)) for each in work])
        serving = await stack.enter_async_context(
            served(own, TRAINING, parts.servicers, verifier, stopping)
        )
        channel = await stack.enter_async_context(serving.channel())
        yield Worker(serving, database, parts, channel)


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _end(work: list[asyncio.Task[None]]) -> None:
    assert not [task for task in work if task.done()], "a loop of the worker ended"
    await tasks.end(work)
