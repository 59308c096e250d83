"""What a watcher gets while the bus of live events is away."""

from __future__ import annotations

import asyncio

from mesh.runtime.service import connect_redis
from services.training.live import LiveBus
from tests.support.stores import Stores


async def test_the_updates_end_where_redis_does_not_come_back(running_stores: Stores) -> None:
    redis = connect_redis(running_stores.redis_url("training"))
    try:
        async with asyncio.timeout(20), LiveBus(redis).watch("users/u/activities/a") as updates:
            assert await anext(updates) is None
            running_stores.kill("redis")
            assert {update async for update in updates} <= {None}
        async with asyncio.timeout(20), LiveBus(redis).watch("users/u/activities/a") as updates:
            assert [update async for update in updates] == []
    finally:
        running_stores.start("redis")
        await redis.aclose()
