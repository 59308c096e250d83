"""A service is declared, not wired: its name, servicers, handlers, jobs and settings.

`run(SERVICE)` does the rest: settings, migration, stores, server, health,
relay, consumer, jobs, drain.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import structlog
import uvloop
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from sqlalchemy import MetaData

from mesh import policy
from mesh.runtime import (
    logs,
    metrics,
    migrate,
    partitions,
    relay,
    revocation_feed,
    settings,
    tokens,
    traces,
)
from mesh.runtime.audit import Auditor
from mesh.runtime.blobs import Blobs, BlobSettings
from mesh.runtime.bus import Consumer
from mesh.runtime.channel import MeshChannel
from mesh.runtime.clock import now
from mesh.runtime.gate import Gate
from mesh.runtime.handler import Handler
from mesh.runtime.leases import Leases
from mesh.runtime.proof import Proof
from mesh.runtime.repeats import Repeats
from mesh.runtime.retention import EVERY_S, Retention
from mesh.runtime.revocations import Revocations
from mesh.runtime.sealing import Sealer
from mesh.runtime.server import Server, Servicer
from mesh.runtime.settings import Settings
from mesh.runtime.sql import Database
from mesh.runtime.subjects import Files, Reach, Subject, Subjects
from mesh.runtime.subjects import rpc as subjects_rpc
from mesh.runtime.tables import METADATA
from mesh.runtime.tasks import end

_log = structlog.get_logger(__name__)
_NO_EXCEPTION = Files()
YOUNG_OBJECTS = 10_000
"""Made and not yet given back, before the collector looks for cycles among them."""
TURN_S = 0.001
"""How long a thread that computes (a summary, a cut track) keeps the interpreter from the loop.

The loop gives it up at every system call, and by Python's 5 ms waits that long to have it back
each time. Echoes over a socket beside a thread that never waits: 2,142 a second alone, 711 by
5 ms, 1,341 by 1 ms, 1,364 by 0.1 ms, where the thread did a sixth of its work only.
"""


@dataclass(frozen=True, slots=True)
class Job:
    """Something a service does by the clock, in one of its processes at a time."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Host:
    """What the runtime gives a service to build itself from."""

    settings: Settings
    database: Database
    redis: Redis
    mesh: MeshChannel
    own: Any
    """The service's own settings."""
    verifier: tokens.Verifier
    revocations: Revocations
    blobs: Blobs
    """The service's files; opened when they are first needed."""
    sealer: Sealer | None
    """Seals what rows keep secret; None where the process was given no keys."""
    stopping: asyncio.Event
    """Set when this process ends and callers know it: a long stream ends itself then."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is made of."""

    servicers: Sequence[Servicer] = ()
    handlers: Sequence[Handler] = ()
    jobs: Sequence[Job] = ()
    loops: Sequence[Callable[[], Awaitable[None]]] = ()
    """What runs in every process until it drains."""
    keys: tokens.FetchKeys | None = None
    """Where the token keys come from; through the mesh, unless the service masters them."""
    before: Sequence[Callable[[], Awaitable[None]]] = ()
    """What is done before the first call is answered."""
    revocations: Callable[[], Awaitable[None]] | None = None
    """Keeps the host's up to date until the process ends; likewise."""


@dataclass(frozen=True, slots=True)
class Service:
    """The declaration of a service."""

    name: str
    compose: Callable[[Host], Parts]
    settings: type[Any] | None = None
    """A frozen dataclass, filled from `PALESTRA_<NAME>_<FIELD>`."""
    subjects: Sequence[Subject] = ()
    """What it keeps of people, in the order in which it is erased."""
    files: Files = _NO_EXCEPTION
    """What of the files is not given out."""
    impersonal: Mapping[str, str] = field(default_factory=dict)
    """Its tables that no subject covers, each with its reason."""
    tables: MetaData | None = None
    """All its tables, each with how long its rows are kept (`mesh.runtime.kept`)."""

    def kept(self, database: Database, blobs: Blobs) -> Subjects:
        """What it keeps of people, to be given out and erased."""
        return Subjects(Reach(self.name, database, blobs), self.subjects, self.files)

    @property
    def migrations(self) -> Path | None:
        """The service's own migrations folder, beside its `service.py`."""
        folder = Path(inspect.getfile(self.compose)).parent / "migrations"
        return folder if folder.is_dir() else None


def run(service: Service) -> None:
    """Runs a service process until SIGTERM or SIGINT.

    Raises:
        SystemExit: a setting is wrong; says which.
    """
    try:
        told = settings.read(Settings)
        own = settings.read_own(service.settings, service.name) if service.settings else None
        logs.configure(told.service, told.worker, told.log_level)
        traces.configure(told)
        uvloop.run(_run(service, told, own))
    except settings.SettingsError as error:
        raise SystemExit(f"{service.name}: {error}") from None


async def _run(service: Service, told: Settings, own: Any) -> None:
    sys.setswitchinterval(TURN_S)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(migrate.migrate, told.database_url, service.migrations)
        await _make_partitions(told.database_url)
        server, background = await _compose(service, told, own, stack)
        await server.start()
        _spare_the_collector()
        _log.info("serving", address=told.listen)
        tasks = [asyncio.create_task(_keep(work)) for work in background]
        await stop.wait()
        _log.info("draining")
        await server.drain(told.drain_s, told.grace_s)
        await end(tasks)
    _log.info("stopped")


def _spare_the_collector() -> None:
    """What was made at the start stays: looking through it again and again finds no garbage.

    A full collection walks every object that is left, all modules' among them. With rarer
    young collections at most so many more objects wait to be found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


async def _make_partitions(url: str) -> None:
    # Before the first call: a write whose hour has no partition would fail.
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(migrate.LOCK)
        await partitions.make_all(connection)


async def _compose(
    service: Service, told: Settings, own: Any, stack: AsyncExitStack
) -> tuple[Server, list[Callable[[], Awaitable[None]]]]:
    database = Database(told.database_url, pool_size=told.database_pool, application=told.service)
    await database.open()
    stack.push_async_callback(database.close)
    redis = connect_redis(told.redis_url)
    stack.push_async_callback(redis.aclose)
    mesh = MeshChannel(told.mesh)
    stack.push_async_callback(mesh.close)
    revoked = Revocations()
    metrics.REVOCATIONS_SILENCE.set_function(lambda: time.time() - revoked.heard_s)
    verifier = tokens.Verifier(tokens.from_mesh(mesh), revocations=revoked)
    stopping = asyncio.Event()
    blobs = Blobs(told.service, BlobSettings(told.blobs_keys_file, told.blobs_url, told.blobs_site))
    sealer = Sealer.read(told.seal_keys_file) if told.seal_keys_file else None
    host = Host(told, database, redis, mesh, own, verifier, revoked, blobs, sealer, stopping)
    parts = service.compose(host)
    servicers = list(parts.servicers)
    if service.subjects:
        servicers.append(subjects_rpc.servicer(service.name, service.kept(database, blobs)))
    if parts.keys is not None:
        verifier.fetch = parts.keys
    gate = Gate(
        told.service,
        Proof(told.mesh_proof_file),
        verifier,
        Auditor(database),
        _meanings(parts),
        Repeats(database),
    )
    leases = Leases(told.database_url)
    leases.add("relay", relay.Relay(told.database_url, redis, told.service, told.region).run)
    reading = connect_redis(told.redis_url, repeats=0)
    stack.push_async_callback(reading.aclose)
    for name, work in Consumer(database, reading, told.service, parts.handlers).works():
        leases.add(name, work)
    for job in parts.jobs:
        leases.add(f"job {job.name}", _by_the_clock(job))
    kept = [*METADATA.sorted_tables, *(service.tables.sorted_tables if service.tables else ())]
    dropping = Job("keep retention", EVERY_S, Retention(database, kept, now).turn)
    leases.add(f"job {dropping.name}", _by_the_clock(dropping))
    exporter = await metrics.serve(told.metrics)
    if exporter is not None:
        stack.callback(exporter.close)
    following = parts.revocations or revocation_feed.from_mesh(mesh, revoked)
    seeking = [leases.run] if told.leases else []
    for work in parts.before:
        await work()
    return Server(told.listen, servicers, gate, stopping), [*seeking, following, *parts.loops]


def connect_redis(url: str, repeats: int = 2) -> Redis:
    """The bus and cache; a broken connection is made anew at the next command.

    A command whose connection broke is sent again `repeats` times.
    """
    # One connection per consumed stream blocks; the rest is bounded.
    return Redis.from_url(
        url,
        max_connections=256,
        socket_timeout=5,
        socket_connect_timeout=2,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), repeats),
    )


def _meanings(parts: Parts) -> dict[str, policy.Meaning]:
    """The reasons of the service's own domain, from the files beside its servicers."""
    packages = {servicer.CONTRACT.file.package for servicer in parts.servicers}
    return {
        meaning.reason: meaning
        for package in packages
        for meaning in policy.package_meanings(package)
    }


def _by_the_clock(job: Job) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        while True:
            await job.run()
            await asyncio.sleep(job.every_s)

    return work


async def _keep(work: Callable[[], Awaitable[None]]) -> None:
    """Runs a loop for the life of the process; one that fails is started again."""
    while True:
        try:
            await work()
            return
        except Exception:
            _log.exception("background_failed")
            await asyncio.sleep(1)
