"""What a service's copy of relations costs, and how late it is: `python -m tests.load.replica`.

Prints figures and asserts nothing. Against the real PostgreSQL and Redis, which it starts;
CPU is of this process (the service's side) and of PostgreSQL, apart.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import psutil
from sqlalchemy import text

from mesh.runtime.ids import user_id
from mesh.runtime.relations.applying import apply
from mesh.runtime.relations.feeds import BEAT_EVERY_S
from mesh.runtime.relations.replica import Audience
from mesh.runtime.sql import Statement
from palestra.identity.v1.events_pb2 import RelationsChanged, RelationSide
from services.identity.relations import rules
from tests.support.relation_people import Mirror, People
from tests.support.stores import Stores, stores
from tests.support.told_counters import Bus, until
from tests.support.told_counters import running as background

FOLLOWED, CALLS, CHANGES, CROWD = 100_000, 2_000, 400, 200
_SIZE = Statement(
    text("SELECT pg_total_relation_size('relations_replica') / count(*) FROM relations_replica")
)


def _postgres_s() -> float:
    return sum(
        sum(each.cpu_times()[:2]) for each in psutil.process_iter() if each.name() == "postgres"
    )


async def _cost(name: str, call: Callable[[], Awaitable[object]]) -> None:
    for _ in range(50):
        await call()
    postgres_s, own_s = _postgres_s(), time.process_time()
    for _ in range(CALLS):
        await call()
    own_us = (time.process_time() - own_s) / CALLS * 1e6
    postgres_us = (_postgres_s() - postgres_s) / CALLS * 1e6
    print(f"{name:<44} {own_us:6.0f} µs here, {postgres_us:6.0f} µs in PostgreSQL")


async def _fill(mirror: Mirror, viewer: uuid.UUID) -> list[uuid.UUID]:
    owners = [user_id(0) for _ in range(FOLLOWED)]
    begun_s = time.perf_counter()
    for start in range(0, FOLLOWED, 1_000):
        page = [
            RelationsChanged(
                user=f"users/{viewer}",
                other=f"users/{owner}",
                pair_version=1,
                outgoing=RelationSide(follows=True),
            )
            for owner in owners[start : start + 1_000]
        ]
        async with mirror.bus.consumer.transaction() as session:
            await apply(session, page, mirror.clock())
    rate = FOLLOWED / (time.perf_counter() - begun_s)
    print(f"{'fetching everything':<44} {rate:6.0f} pairs a second")
    return owners


async def _beat(mirror: Mirror) -> None:
    while True:
        await mirror.flow.beat()
        await asyncio.sleep(BEAT_EVERY_S)


async def _delays(mirror: Mirror) -> None:
    a, b = [await mirror.people.person(open_=True) for _ in range(2)]
    delays_ms = []
    for number in range(CHANGES):
        rule = rules.block if number % 2 == 0 else rules.unblock
        done = await mirror.flow.change(a, b, rule)
        begun_s = time.perf_counter()
        told = await mirror.copy.values(a)
        told = {**told, "relations_users": [a], "relations_versions": [done.reached.version]}
        while not await mirror.copy._good(told):
            await asyncio.sleep(0.001)
        delays_ms.append((time.perf_counter() - begun_s) * 1000)
    cuts = statistics.quantiles(delays_ms, n=100)
    print(f"{'commit in identity to the copy':<44} p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms")


async def _crowd(mirror: Mirror) -> None:
    star = await mirror.people.person(open_=True)
    fans = [await mirror.people.person() for _ in range(CROWD)]
    begun_s = time.perf_counter()
    await asyncio.gather(*(mirror.flow.change(fan, star, rules.follow) for fan in fans))
    rate = CROWD / (time.perf_counter() - begun_s)
    print(f"{'all follow the same person at once':<44} {rate:6.0f} a second")


async def _measure(running: Stores) -> None:
    bus = Bus(running)
    await bus.open()
    mirror = Mirror(bus, People(bus.publisher))
    viewer = await mirror.people.person()
    async with mirror.kept(), background(partial(_beat, mirror)):
        await mirror.copying.catch_up()
        owners = await _fill(mirror, viewer)
        await until(lambda: mirror.copy.visible(viewer, owners[0], Audience.FOLLOWERS))
        await _delays(mirror)
        await _crowd(mirror)
        few, many = owners[:50], owners[:1_000]
        await _cost("check", lambda: mirror.copy.visible(viewer, owners[0], Audience.FOLLOWERS))
        await _cost("filter of 50", lambda: mirror.copy.filter(viewer, few, Audience.FOLLOWERS))
        await _cost("filter of 1,000", lambda: mirror.copy.filter(viewer, many, Audience.FOLLOWERS))
        row = await bus.consumer.row(_SIZE, {})
        print(f"{'stored':<44} {row[0] if row else 0} bytes for one of a pair's two rows")
    await bus.close()


def main() -> None:
    """Measures."""
    with stores(on_disk=True) as running:
        asyncio.run(_measure(running))


if __name__ == "__main__":
    main()
