"""The real PostgreSQL and Redis, as one machine's stack runs them, for tests.

Owns their folder and their processes: started, killed, started again, and gone at
the end with all they wrote. The settings are mesh.local.stores' own.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from mesh.local import credentials, plan, spawn
from mesh.local.places import Places, prepare
from mesh.local.spec import Health, Spec
from mesh.local.stores import database, postgres, provision, redis
from mesh.runtime.sql import Database
from tests.support import schemas
from tests.support.scratch import short_folder

START_S = 30.0
SERVICES = ("identity", "integration", "training")
COUNTERS = ("limiter",)
WORKERS = dict.fromkeys(SERVICES, 12)
PATIENCE_S = 30.0
"""A hundred at once wait for eight connections: who comes first is asked, not how soon."""


class Stores:
    """A PostgreSQL and a Redis with a role and a schema for each of `SERVICES`."""

    def __init__(self, folder: Path) -> None:
        self._places: Places = prepare(folder)
        self._passwords = credentials.ensure(self._places, SERVICES, COUNTERS)
        self._running: dict[str, tuple[Spec, subprocess.Popen[bytes]]] = {}
        self._kept: dict[str, str] = {}

    @property
    def specs(self) -> dict[str, Spec]:
        """The processes, by name."""
        env = plan.base_environment()
        admin = self._passwords.postgres[credentials.ADMIN]
        limit = database.max_connections(WORKERS)
        made = (
            postgres.spec(self._places, env, admin, limit, self._provision),
            redis.spec(self._places, env, self._passwords.redis, SERVICES, COUNTERS),
        )
        return {each.name: each for each in made}

    def _provision(self) -> None:
        provision.apply(self._places.postgres, self._passwords.postgres, WORKERS)

    def database_url(self, service: str) -> str:
        """A libpq URL of the service's own role."""
        return database.url(self._places.postgres, service, self._passwords.postgres[service])

    def database(self, service: str) -> Database:
        """The service's own schema, for as many at once as a test has."""
        return Database(self.database_url(service), wait_s=PATIENCE_S)

    def redis_url(self, service: str) -> str:
        """A Redis URL of the service's own user."""
        path = quote(str(self._places.run / "redis.sock"))
        return f"unix://{service}:{self._passwords.redis[service]}@{path}?db=0"

    def start(self, name: str) -> None:
        """Starts `postgres` or `redis`, and waits until it serves."""
        each = self.specs[name]
        if each.before is not None:
            each.before()
        for socket in each.sockets:
            socket.unlink(missing_ok=True)
        command = spawn.leashed(each.argv, each.account, each.death_signal)
        log = self._places.logs / f"{name}.log"
        process = spawn.start(command, each.env, each.cwd, log)
        self._running[name] = each, process
        # In a thread, for the caller may be in a loop; the start itself may not, because
        # the process ends with the thread that started it.
        with ThreadPoolExecutor(1) as waiting:
            waiting.submit(asyncio.run, _until_serving(each, process, log)).result()
        if each.once is not None:
            each.once()

    def kill(self, name: str) -> None:
        """Kills with SIGKILL."""
        _, process = self._running.pop(name)
        process.kill()
        process.wait()

    def restart(self, name: str, down_s: float = 0.0) -> None:
        """Kills with SIGKILL, and starts again."""
        self.kill(name)
        time.sleep(down_s)
        self.start(name)

    def stop(self) -> None:
        """Ends what runs, in its own way."""
        for each, process in self._running.values():
            process.send_signal(each.stop_signal)
        for _, process in self._running.values():
            process.wait(timeout=20)
        self._running.clear()

    def clear(self, services: Iterable[str] = SERVICES) -> None:
        """Removes what is in the services' schemas, tables and all, and empties Redis."""
        self._kept.clear()
        for service in services:
            with self._schema(service) as connection:
                connection.execute(f"DROP SCHEMA {service} CASCADE")
        self._provision()
        self._flush()

    def keep(self) -> None:
        """Has `empty` come back to the tables that there are now."""
        for service in SERVICES:
            with self._schema(service) as connection:
                self._kept[service] = schemas.shape(connection)

    def empty(self) -> bool:
        """Removes all rows, which is far quicker than `clear`, and empties Redis.

        Does nothing, and says so, where a table is not as it was kept.
        """
        with ExitStack() as stack:
            found = {each: stack.enter_context(self._schema(each)) for each in SERVICES}
            if any(schemas.shape(found[each]) != self._kept.get(each) for each in SERVICES):
                return False
            for connection in found.values():
                schemas.empty(connection)
        self._flush()
        return True

    def _schema(self, service: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.database_url(service), autocommit=True)

    def _flush(self) -> None:
        import redis as client

        admin = self._passwords.redis[credentials.ADMIN]
        path = str(self._places.run / "redis.sock")
        with client.Redis(
            unix_socket_path=path, username=credentials.ADMIN, password=admin
        ) as store:
            store.flushall()


async def _until_serving(each: Spec, process: subprocess.Popen[bytes], log: Path) -> None:
    async def serving() -> None:
        async for health in each.probe(process.pid):
            if process.poll() is not None:
                raise AssertionError(f"{each.name} ended: {log.read_text()[-2000:]}")
            if health is Health.SERVING:
                return

    await asyncio.wait_for(serving(), START_S)


@contextmanager
def stores(*, on_disk: bool = False) -> Iterator[Stores]:
    """Both stores, running, in a short folder of their own: in memory where there is room."""
    with short_folder(on_disk=on_disk) as folder:
        made = Stores(folder / "s")
        try:
            for name in made.specs:
                made.start(name)
            yield made
        finally:
            made.stop()
