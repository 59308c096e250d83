"""Leases: what only one process of a service does at a time.

A lease is a PostgreSQL advisory lock. All leases of a process are on one
connection, so they end with the process, however that ends; when the
connection breaks, the work under them is cancelled and sought anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import structlog

from mesh.runtime.tasks import end

HEARTBEAT_S = 0.5
STEP_BACK_S = 0.05
LONGEST_STEP_BACK_S = 0.25
"""One worker alone takes forty leases within the ten seconds that recovery may last."""
_log = structlog.get_logger(__name__)
_TRY = "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ' ' || %s, 0))"

Work = Callable[[], Awaitable[None]]
Connection = psycopg.AsyncConnection[tuple[object, ...]]


class Leases:
    """The leases that one process seeks and the work that it does under each."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._works: dict[str, Work] = {}
        self._held: dict[str, asyncio.Task[None]] = {}

    def add(self, name: str, work: Work) -> None:
        """Does `work` whenever this process holds the lease `name`."""
        self._works[name] = work

    @property
    def held(self) -> frozenset[str]:
        """The names of the leases that are held now."""
        return frozenset(self._held)

    async def run(self) -> None:
        """Seeks and keeps leases until cancelled."""
        if not self._works:
            return
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, application_name="leases"
                ) as connection:
                    await self._keep(connection)
            except psycopg.Error as error:
                _log.warning("leases_lost", error=type(error).__name__)
            finally:
                await self._let_go()
            await asyncio.sleep(HEARTBEAT_S)

    async def _keep(self, connection: Connection) -> None:
        while True:
            for name in self._works:
                if name not in self._held and await _try(connection, name):
                    self._held[name] = asyncio.create_task(self._do(name))
                    # Who holds more steps back longer, so that workers share the rest.
                    await asyncio.sleep(min(STEP_BACK_S * len(self._held), LONGEST_STEP_BACK_S))
            await connection.execute("SELECT 1")
            await asyncio.sleep(HEARTBEAT_S)

    async def _do(self, name: str) -> None:
        while True:
            try:
                await self._works[name]()
            except Exception:
                _log.exception("lease_work_failed", lease=name)
            await asyncio.sleep(HEARTBEAT_S)

    async def _let_go(self) -> None:
        tasks = list(self._held.values())
        self._held.clear()
        await end(tasks)


async def _try(connection: Connection, name: str) -> bool:
    row = await (await connection.execute(_TRY, (name,))).fetchone()
    return bool(row and row[0])
