"""A workout is watched while it happens, and is whole when it ends."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.athletes import Athlete
from tests.support.live_run import LiveRun, live_run
from tests.support.live_watchers import Seen, over_grpc, over_rest

WITHIN_S = 1.0
SECONDS = 8


async def _run_on(run: LiveRun) -> list[float]:
    """Runs for some seconds; the instants at which each was sent."""
    sent = []
    for second in range(SECONDS):
        sent.append(await run.second(120 + second, 2.5 + second / 10, 55.75 + second / 1e4, 37.61))
        await asyncio.sleep(0.25)
    return sent


def _assert_live(seen: Seen, sent: list[float]) -> None:
    """Every second was seen, in order, as it was, within a second."""
    updates = [(at, event["update"]) for at, event in seen if "update" in event]
    by_heart_rate = {update["heartRateBpm"]: (at, update) for at, update in updates}
    assert list(by_heart_rate) == [120 + second for second in range(SECONDS)]
    for second, instant in enumerate(sent):
        at, update = by_heart_rate[120 + second]
        assert at - instant < WITHIN_S
        assert update["speedMps"] == pytest.approx(2.5 + second / 10)
        assert update["paceSPerKm"] == pytest.approx(1000 / (2.5 + second / 10))
        assert update["latitudeDeg"] == pytest.approx(55.75 + second / 1e4, abs=1e-7)
        assert update["longitudeDeg"] == pytest.approx(37.61, abs=1e-7)
    _, last = seen[-1]
    assert last == {"ended": {"reason": "WATCH_END_FINISHED"}}


async def test_watchersover_rest_and_grpc_see_each_second_within_a_second(
    athlete: Athlete,
) -> None:
    by_rest: Seen = []
    by_grpc: Seen = []
    async with live_run(athlete) as run, asyncio.timeout(30):
        # Several watchers land on several workers, none of which need have the session.
        watchers = [
            asyncio.create_task(over_rest(athlete, run.activity, by_rest)),
            asyncio.create_task(over_grpc(athlete, run.activity, by_grpc)),
        ]
        while not (by_rest and by_grpc):
            await asyncio.sleep(0.02)
        # A watcher is known to all workers within this time.
        await asyncio.sleep(0.5)
        sent = await _run_on(run)
        assert await run.close() == run.activity
        await asyncio.gather(*watchers)
    _assert_live(by_rest, sent)
    _assert_live(by_grpc, sent)


async def test_a_watcher_of_a_finished_workout_is_told_so_at_once(athlete: Athlete) -> None:
    seen: Seen = []
    async with live_run(athlete) as run:
        await run.second(120, 3.0, 55.75, 37.61)
        await run.close()
    await asyncio.wait_for(over_rest(athlete, run.activity, seen), 5)
    assert [event for _, event in seen] == [{"ended": {"reason": "WATCH_END_FINISHED"}}]


async def test_a_live_workout_can_be_read_before_it_ends(athlete: Athlete) -> None:
    async with live_run(athlete) as run:
        for second in range(5):
            await run.second(100 + second, 3.0, 55.75, 37.61)
        until_s = time.monotonic() + 5
        while True:
            streams = await asyncio.to_thread(athlete.get, f"{run.activity}/streams", resolution=0)
            if len(streams["timeMs"]) == 5 or time.monotonic() > until_s:
                break
        assert streams["timeMs"] == [1000, 2000, 3000, 4000, 5000]
        assert streams["channels"]["HEART_RATE"] == [100, 101, 102, 103, 104]
        activity = await asyncio.to_thread(athlete.get, run.activity)
        assert activity["activity"]["state"] == "ACTIVITY_STATE_LIVE"
        await run.close()
    activity = await asyncio.to_thread(athlete.get, run.activity)
    assert activity["activity"]["state"] == "ACTIVITY_STATE_FINISHED"
