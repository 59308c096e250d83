"""A workout is watched while it happens, and is whole when it ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from palestra.training.v1 import activity_service_pb2, activity_service_pb2_grpc
from palestra_client import open_channel
from tests.support.athletes import Athlete
from tests.support.live_run import LiveRun, live_run

WITHIN_S = 1.0
SECONDS = 8
Seen = list[tuple[float, dict[str, Any]]]
"""When an event came, by the monotonic clock, and the event as REST spells it."""


async def _over_rest(athlete: Athlete, activity: str, seen: Seen) -> None:
    async with (
        httpx.AsyncClient(base_url=athlete.stack.rest_url, timeout=10) as rest,
        rest.stream(
            "GET", f"/v1/{activity}:watch", headers={"authorization": f"Bearer {athlete.token}"}
        ) as answer,
    ):
        assert answer.status_code == httpx.codes.OK
        async for event in _elements(answer.aiter_text()):
            seen.append((time.monotonic(), event))


async def _elements(chunks: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    """The elements of a JSON array, each as soon as it is whole."""
    decoder = json.JSONDecoder()
    text = ""
    async for chunk in chunks:
        text += chunk
        while (text := text.lstrip("[], \n")).startswith("{"):
            try:
                event, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break
            yield event
            text = text[end:]


async def _over_grpc(athlete: Athlete, activity: str, seen: Seen) -> None:
    channel = open_channel(athlete.stack.target)
    try:
        stub = activity_service_pb2_grpc.ActivityServiceStub(channel)
        request = activity_service_pb2.WatchActivityRequest(name=activity)
        async for event in stub.WatchActivity(request, metadata=athlete.metadata):
            seen.append((time.monotonic(), _as_json(event)))
    finally:
        await channel.close(None)


def _as_json(event: activity_service_pb2.WatchActivityResponse) -> dict[str, Any]:
    if event.HasField("update"):
        told = event.update
        return {
            "update": {
                "heartRateBpm": told.heart_rate_bpm,
                "speedMps": told.speed_mps,
                "paceSPerKm": told.pace_s_per_km,
                "latitudeDeg": told.latitude_deg,
                "longitudeDeg": told.longitude_deg,
            }
        }
    if event.HasField("ended"):
        reason = activity_service_pb2.WatchEnd.Name(event.ended.reason)
        return {"ended": {"reason": reason}}
    return {"heartbeat": {}}


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


async def test_watchers_over_rest_and_grpc_see_each_second_within_a_second(
    athlete: Athlete,
) -> None:
    by_rest: Seen = []
    by_grpc: Seen = []
    async with live_run(athlete) as run, asyncio.timeout(30):
        # Several watchers land on several workers, none of which need have the session.
        watchers = [
            asyncio.create_task(_over_rest(athlete, run.activity, by_rest)),
            asyncio.create_task(_over_grpc(athlete, run.activity, by_grpc)),
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
    await asyncio.wait_for(_over_rest(athlete, run.activity, seen), 5)
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
