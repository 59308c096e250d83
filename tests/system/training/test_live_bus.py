"""The bus of live events: shared by all watchers, and away."""

from __future__ import annotations

import asyncio

from mesh.runtime.service import connect_redis
from services.training.live import LiveBus
from tests.support.stores import Stores


async def test_the_updates_end_where_redis_does_not_come_back(running_stores: Stores) -> None:
    redis = connect_redis(running_stores.redis_url("training"))
    try:
        live = LiveBus(redis)
        listening = asyncio.create_task(live.keep_listening())
        async with asyncio.timeout(20), live.watch("users/u/activities/a") as updates:
            assert await anext(updates) is None
            running_stores.kill("redis")
            assert {update async for update in updates} <= {None}
        async with asyncio.timeout(20), live.watch("users/u/activities/a") as updates:
            assert [update async for update in updates] == []
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    finally:
        running_stores.start("redis")
        await redis.aclose()


async def test_a_thousand_watchers_share_one_subscription(running_stores: Stores) -> None:
    redis = connect_redis(running_stores.redis_url("training"))
    live = LiveBus(redis)
    tasks = [asyncio.create_task(work()) for work in (live.keep_listening, live.keep_publishing)]
    activities = [f"users/u/activities/{number}" for number in range(50)]
    seated: list[str] = []
    seen: list[bytes] = []

    async def watcher(activity: str) -> None:
        async with live.watch(activity) as updates:
            assert await anext(updates) is None
            seated.append(activity)
            async for update in updates:
                if update is not None:
                    seen.append(update)
                    return

    try:
        async with asyncio.timeout(30):
            watchers = [asyncio.create_task(watcher(each)) for each in activities * 20]
            while len(seated) < len(watchers):
                await asyncio.sleep(0.02)
            channels = [f"training:live:{each}" for each in activities]
            subscribers = await redis.pubsub_numsub(*channels)
            assert {count for _, count in subscribers} == {1}
            for each in activities:
                live.offer(each, b"newest")
            await asyncio.gather(*watchers)
        assert seen == [b"newest"] * 1000
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await redis.aclose()
