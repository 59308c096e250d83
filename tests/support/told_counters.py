"""Counters of a publisher and what a consumer made of their events: a bus that can be audited.

Every change of a counter is told by an event with the counter's new value; the consumer
adds a row for each event that it takes effect of. Lost and doubled events show as rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from redis.asyncio import Redis
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from mesh.runtime import migrate, outbox, partitions, relay
from mesh.runtime.bus import Consumer
from mesh.runtime.errors import Unavailable
from mesh.runtime.handler import Handler, Run
from mesh.runtime.leases import Leases
from mesh.runtime.service import connect_redis
from mesh.runtime.sql import Session, Statement
from mesh.runtime.tasks import end
from palestra.identity.v1.events_pb2 import ProfileUpdated, PublicCard
from palestra.mesh.v1.event_pb2 import Event
from tests.support.stores import Stores

PUBLISHER, CONSUMER = "identity", "training"
_METADATA = MetaData()
COUNTERS = Table(
    "counters",
    _METADATA,
    Column("key", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
)
EFFECTS = Table(
    "effects",
    _METADATA,
    Column("key", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
)
_first = upsert(COUNTERS).values(key=bindparam("key"), version=1)
_counted = (
    _first.on_conflict_do_update(
        index_elements=[COUNTERS.c.key], set_={"version": COUNTERS.c.version + 1}
    )
    .returning(COUNTERS.c.version)
    .cte("counted")
)
COUNT = Statement(outbox.publishing(_counted, _counted.c.version))
_EFFECT = Statement(insert(EFFECTS).values(key=bindparam("key"), version=bindparam("version")))
_COUNTERS = Statement(select(COUNTERS.c.key, COUNTERS.c.version))
_EFFECTS = Statement(select(EFFECTS.c.key, EFFECTS.c.version))


async def take_effect(session: Session, message: ProfileUpdated, event: Event) -> None:
    """The consumer's handler: one row for each event."""
    assert message.card.user == event.key
    await session.run(_EFFECT, {"key": event.key, "version": event.key_version})


def handler(run: Run = take_effect, *, commutative: bool = False) -> Handler:
    """The handler as a service would declare it."""
    return Handler("take effect", ProfileUpdated, run, commutative=commutative)


class Bus:
    """A publisher's and a consumer's side of the bus."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.publisher = stores.database(PUBLISHER)
        self.consumer = stores.database(CONSUMER)
        self.redis: Redis = connect_redis(stores.redis_url(PUBLISHER))

    async def renew(self) -> None:
        """Opens it with nothing in it, whatever the tests before have left."""
        if not await asyncio.to_thread(self.stores.empty):
            await asyncio.to_thread(self.stores.clear)
            await self._make_tables()
            await asyncio.to_thread(self.stores.keep)
        await self._open_pools()

    async def open(self) -> None:
        """Brings the tables up to date and opens the pools."""
        await self._make_tables()
        await self._open_pools()

    async def _make_tables(self) -> None:
        identity = Path("services/identity/migrations").resolve()
        for service, own in ((PUBLISHER, identity), (CONSUMER, None)):
            url = self.stores.database_url(service)
            await asyncio.to_thread(migrate.migrate, url, own)
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await partitions.make_all(connection)
                table = "counters" if service == PUBLISHER else "effects"
                key = "text PRIMARY KEY" if service == PUBLISHER else "text"
                await connection.execute(
                    f"CREATE TABLE {table} (key {key}, version bigint NOT NULL)"
                )

    async def _open_pools(self) -> None:
        await self.publisher.open()
        await self.consumer.open()

    async def close(self) -> None:
        """Closes the pools."""
        await self.redis.aclose()
        await self.publisher.close()
        await self.consumer.close()

    async def count(self, key: str) -> None:
        """Changes one counter, and tells of it."""
        card = PublicCard(user=key)
        message = outbox.Message(
            ProfileUpdated.DESCRIPTOR.full_name, key, ProfileUpdated(card=card).SerializeToString()
        )
        await self.publisher.run(COUNT, {"key": key, **outbox.values(message)})

    async def counters(self) -> dict[str, int]:
        """The counters' values."""
        return dict(await self.publisher.rows(_COUNTERS, {}))

    async def effects(self) -> list[tuple[str, int]]:
        """What took effect, sorted."""
        return sorted((key, version) for key, version in await self.consumer.rows(_EFFECTS, {}))

    async def streams(self) -> list[Event]:
        """What is on the bus, stream after stream."""
        found = []
        for number in range(relay.PARTITIONS):
            key = relay.stream(PUBLISHER, number)
            entries: Any = await self.redis.xrange(key)
            found += [Event.FromString(fields[b"e"]) for _, fields in entries]
        return found

    async def everything_took_effect(self) -> bool:
        """Whether each change of each counter had its effect, once."""
        try:
            wanted = [
                (key, version)
                for key, last in (await self.counters()).items()
                for version in range(1, last + 1)
            ]
            return await self.effects() == sorted(wanted)
        except Unavailable:
            return False

    def relaying(self, kind: type[relay.Relay] = relay.Relay) -> Leases:
        """A publisher's process, as far as the bus sees it."""
        url = self.stores.database_url(PUBLISHER)
        leases = Leases(url)
        leases.add("relay", kind(url, self.redis, PUBLISHER, 0).run)
        return leases


@asynccontextmanager
async def running(work: Callable[[], Awaitable[None]]) -> AsyncIterator[asyncio.Task[None]]:
    """Runs something in the background, until the end of the block."""

    async def run() -> None:
        await work()

    task = asyncio.create_task(run())
    try:
        yield task
    finally:
        await end([task])


@asynccontextmanager
async def consuming(
    bus: Bus, handlers: Iterable[Handler], redis_url: str = ""
) -> AsyncIterator[Leases]:
    """A consumer's process, as far as the bus sees it; `redis_url` where not the stores'."""
    redis = connect_redis(redis_url or bus.stores.redis_url(CONSUMER), repeats=0)
    leases = Leases(bus.stores.database_url(CONSUMER))
    for name, work in Consumer(bus.consumer, redis, CONSUMER, list(handlers)).works():
        leases.add(name, work)
    try:
        async with running(leases.run):
            yield leases
    finally:
        await redis.aclose()


async def until(holds: Callable[[], Awaitable[Any]], limit_s: float = 10.0) -> None:
    """Waits until something holds; fails after the limit."""
    async with asyncio.timeout(limit_s):
        while not await holds():
            await asyncio.sleep(0.05)
