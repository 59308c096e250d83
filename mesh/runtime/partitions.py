"""The partitions of the runtime's tables: made ahead of time, dropped when their time is over.

Owns their names, bounds and ages. Decides nothing of what is in them, but drops none
in which something still waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from mesh.runtime.tables import OUTBOX_KEPT

Connection = psycopg.AsyncConnection[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table whose partitions each hold the rows of one span of time."""

    table: str
    span: timedelta
    """An hour or a day; days are UTC's."""
    suffix: str
    """`strftime` format of a partition's start; it sorts as time does."""
    ahead: int
    """Partitions made beyond the current one and the one before it."""
    keep: timedelta
    waiting: str = ""
    """The condition of rows that keep their partition, whatever its age."""

    def start(self, at: datetime) -> datetime:
        """When the partition of a time begins."""
        hour = at.replace(minute=0, second=0, microsecond=0)
        return hour if self.span < timedelta(days=1) else hour.replace(hour=0)

    def name(self, start: datetime) -> str:
        """The partition that begins then."""
        return f"{self.table}_{start.strftime(self.suffix)}"


OUTBOX = Partitioned(
    "outbox", timedelta(hours=1), "%Y%m%d%H", 3, OUTBOX_KEPT, "published_at IS NULL"
)
REPEATS = Partitioned("repeats", timedelta(days=1), "%Y%m%d", 1, timedelta(hours=24))
TABLES = (OUTBOX, REPEATS)


async def upkeep(connection: Connection) -> None:
    """Makes what will be needed, drops what is over, of every partitioned table."""
    now = datetime.now(UTC)
    for kept in TABLES:
        await make(connection, kept, now)
        await drop(connection, kept, now)


async def make_all(connection: Connection) -> None:
    """Makes what will be needed of every partitioned table."""
    now = datetime.now(UTC)
    for kept in TABLES:
        await make(connection, kept, now)


async def make(connection: Connection, kept: Partitioned, now: datetime) -> None:
    """Makes the partitions that are missing, from the one before `now` to those ahead."""
    first = kept.start(now) - kept.span
    for step in range(kept.ahead + 2):
        start = first + step * kept.span
        found = await (
            await connection.execute("SELECT to_regclass(%s)", (kept.name(start),))
        ).fetchone()
        # Asked first, because even an idle CREATE locks the whole table.
        if found is None or found[0] is None:
            # Another process may have made it since, or be about to.
            with suppress(psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation):
                await connection.execute(_create(kept, start))


def _create(kept: Partitioned, start: datetime) -> sql.Composed:
    return sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})"
    ).format(
        sql.Identifier(kept.name(start)),
        sql.Identifier(kept.table),
        sql.Literal(start.isoformat()),
        sql.Literal((start + kept.span).isoformat()),
    )


async def drop(connection: Connection, kept: Partitioned, now: datetime) -> None:
    """Drops the partitions whose rows are all older than `keep`, where none of them waits."""
    last = kept.name(kept.start(now - kept.keep))
    async for name in _names(connection, kept.table):
        if name < last and not await _waits(connection, kept, name):
            await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))


async def _names(connection: Connection, table: str) -> AsyncIterator[str]:
    rows = await connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (table,)
    )
    for (name,) in await rows.fetchall():
        yield str(name)


async def _waits(connection: Connection, kept: Partitioned, name: str) -> bool:
    if not kept.waiting:
        return False
    query = sql.SQL("SELECT 1 FROM {} WHERE {} LIMIT 1").format(
        sql.Identifier(name), sql.SQL(kept.waiting)
    )
    return await (await connection.execute(query)).fetchone() is not None
