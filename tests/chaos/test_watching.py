"""Somebody watches while a store dies: never cut off without a word."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.athletes import Club
from tests.support.chaos import RECOVERY_S
from tests.support.live_run import live_run
from tests.support.live_watchers import Seen, over_grpc, over_rest
from tests.support.whole_stack import WholeStack


@pytest.mark.parametrize("store", ["redis", "postgres"])
async def test_a_watcher_hears_how_it_ended_whatever_store_died(
    stack: WholeStack, athletes: Club, store: str
) -> None:
    athlete = athletes.register()
    by_rest: Seen = []
    by_grpc: Seen = []
    async with live_run(athlete) as run, asyncio.timeout(40):
        watchers = [
            asyncio.create_task(over_rest(athlete, run.activity, by_rest)),
            asyncio.create_task(over_grpc(athlete, run.activity, by_grpc)),
        ]
        while not (by_rest and by_grpc):
            await asyncio.sleep(0.02)
        restarts = stack.kill(store)
        await asyncio.to_thread(stack.recovered, store, restarts, RECOVERY_S)
        await run.second(120, 3.0, 55.75, 37.61)
        assert await run.close() == run.activity
        await asyncio.gather(*watchers)
    for seen in (by_rest, by_grpc):
        # Who lived through it sees the end of the activity.
        ends = [event["ended"]["reason"] for _, event in seen if "ended" in event]
        assert len(ends) == 1
        assert ends[0] in {"WATCH_END_RESUMABLE", "WATCH_END_FINISHED"}
        assert "ended" in seen[-1][1]
