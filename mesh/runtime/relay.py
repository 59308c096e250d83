"""Carries committed events from the outbox to the bus, in order, at least once.

One relay per service holds the lease. It wakes on NOTIFY, with a poll behind
it, and keeps the partitions of the runtime's tables. Killed between publishing and
marking, its successor publishes again; the inbox of each consumer drops what
it has already had.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from mesh.runtime import partitions
from palestra.mesh.v1.event_pb2 import Event

PARTITIONS = 8
"""Streams per publisher; a key's events are all in one."""
BATCH = 200
POLL_S = 0.5
UPKEEP_S = 600.0
_log = structlog.get_logger(__name__)

_WAITING = """
    SELECT position, occurred_at, id, type, key, key_version, actor, cause, traceparent, payload
    FROM outbox WHERE published_at IS NULL ORDER BY position LIMIT %s
"""
_PUBLISHED = "UPDATE outbox SET published_at = now() WHERE position = ANY(%s) AND occurred_at >= %s"


def stream(publisher: str, partition: int) -> str:
    """The Redis key of one of a publisher's streams."""
    return f"events:{publisher}:{partition}"


def partition_of(key: str) -> int:
    """Which stream carries the events of `key`."""
    return zlib.crc32(key.encode()) % PARTITIONS


class Relay:
    """The relay of one service."""

    def __init__(self, url: str, redis: Redis, service: str, region: int) -> None:
        self._url = url
        self._redis = redis
        self._service = service
        self._region = str(region)

    async def run(self) -> None:
        """Relays until cancelled; to be run under the service's relay lease."""
        async with await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, application_name="relay"
        ) as connection:
            await self._relay(connection)

    async def _relay(self, connection: partitions.Connection) -> None:
        await connection.execute(
            psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(f"outbox_{self._service}"))
        )
        loop = asyncio.get_running_loop()
        upkeep_at = loop.time()
        while True:
            if loop.time() >= upkeep_at:
                await partitions.upkeep(connection)
                upkeep_at = loop.time() + UPKEEP_S
            try:
                while await self._publish(connection):
                    pass
            except RedisError as error:
                _log.warning("bus_unavailable", error=type(error).__name__)
                await asyncio.sleep(POLL_S)
                continue
            # One notice wakes us; what else has queued up is covered by the next drain.
            async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                pass

    async def _publish(self, connection: partitions.Connection) -> bool:
        """Publishes one batch; true where there may be more."""
        rows = await (await connection.execute(_WAITING, (BATCH,), binary=True)).fetchall()
        if not rows:
            return False
        oldest = f"{int((datetime.now(UTC) - partitions.OUTBOX.keep).timestamp() * 1000)}-0"
        by_stream: dict[str, list[bytes]] = {}
        for row in rows:
            event = self._event(row)
            key = stream(self._service, partition_of(event.key))
            by_stream.setdefault(key, []).append(event.SerializeToString())
        # All of them end before any failure counts: none may still add while the next try does.
        added = await asyncio.gather(
            *(self._add(key, each, oldest) for key, each in by_stream.items()),
            return_exceptions=True,
        )
        for outcome in added:
            if outcome is not None:
                raise outcome
        positions = [row[0] for row in rows]
        since = min(row[1] for row in rows)  # type: ignore[type-var]
        await connection.execute(_PUBLISHED, (positions, since), binary=True)
        return len(rows) == BATCH

    async def _add(self, key: str, events: Sequence[bytes], oldest: str) -> None:
        # All or none, stream by stream, for they may live on several nodes: were a later
        # version of a key added and an earlier one refused, no consumer would ever take
        # the earlier one again.
        pipeline = self._redis.pipeline(transaction=True)
        for event in events:
            pipeline.xadd(key, {"e": event}, minid=oldest, approximate=True)
        await pipeline.execute()

    def _event(self, row: tuple[object, ...]) -> Event:
        _, occurred_at, id_, type_, key, version, actor, cause, traceparent, payload = row
        at = Timestamp()
        at.FromDatetime(occurred_at)  # type: ignore[arg-type]
        return Event(
            id=str(id_),
            type=str(type_),
            key=str(key),
            key_version=version,  # type: ignore[arg-type]
            occurred_at=at,
            region=self._region,
            actor=str(actor),
            cause=str(cause),
            traceparent=str(traceparent),
            payload=payload,  # type: ignore[arg-type]
        )
