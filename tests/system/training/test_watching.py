"""Watching a live activity, from whichever worker, until it says how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from palestra.training.v1 import activity_service_pb2 as pb
from services.training.activities import watching
from tests.support.grpc_errors import reason_of
from tests.support.recorded_sessions import Recorded
from tests.support.stores import Stores
from tests.support.tracker_line import Line, batch, batches, line
from tests.support.training_athlete import Athlete, activities
from tests.support.training_worker import Worker

WITHIN_S = 1.0


class Watch:
    """What a watcher has seen."""

    def __init__(self, worker: Worker, runner: Athlete, session: Recorded) -> None:
        request = pb.WatchActivityRequest(name=session.activity)
        self.call = activities(worker).WatchActivity(request, metadata=runner.metadata)
        self.events: list[pb.WatchActivityResponse] = []

    async def until(self, *kinds: str, limit_s: float = 10.0) -> pb.WatchActivityResponse:
        """The next event of one of these kinds."""
        async with asyncio.timeout(limit_s):
            while True:
                event = await self.call.read()
                assert isinstance(event, pb.WatchActivityResponse), "the stream ended"
                self.events.append(event)
                if event.WhichOneof("event") in kinds:
                    return event

    async def end(self, limit_s: float = 10.0) -> int:
        """How it ended; nothing may come after that."""
        ended = await self.until("ended", limit_s=limit_s)
        assert not isinstance(await self.call.read(), pb.WatchActivityResponse)
        return ended.ended.reason


@asynccontextmanager
async def live(worker: Worker, session: Recorded) -> AsyncIterator[Line]:
    async with line(worker.channel) as tracker:
        await tracker.opened(session)
        yield tracker


async def test_a_watcher_on_another_worker_sees_each_second_what_was_just_committed(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id)
    loop = asyncio.get_running_loop()
    async with live(one, session) as tracker:
        watch = Watch(other, runner, session)
        await watch.until("heartbeat")
        # A beat, so that the workers know that somebody watches.
        await asyncio.sleep(WITHIN_S)
        for number in range(3):
            at_ms = session.start_ms + 1000 * number
            row = (140 + number, 4_000, 400 * number, 557_000_000, 376_000_000, None, 1.5)
            await tracker.send(batch(session, session.record([(at_ms, row)])))
            await tracker.acknowledged(session, number + 1)
            committed_at = loop.time()
            seen = (await watch.until("update", limit_s=WITHIN_S)).update
            assert loop.time() - committed_at < WITHIN_S
            assert seen.heart_rate_bpm == 140 + number
            assert seen.speed_mps == pytest.approx(4.0)
            assert seen.pace_s_per_km == pytest.approx(250.0)
            assert seen.distance_m == pytest.approx(4.0 * number)
            assert seen.latitude_deg == pytest.approx(55.7)
            assert not seen.HasField("power_w")
            assert seen.elapsed_s == number
            assert seen.time.ToMilliseconds() == at_ms
        finishing = asyncio.create_task(tracker.finished(session))
        assert await watch.end(WITHIN_S) == pb.WATCH_END_FINISHED
        await finishing


async def test_a_watch_says_that_the_activity_was_deleted(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id)
    async with live(one, session):
        watch = Watch(one, runner, session)
        await watch.until("heartbeat")
        request = pb.DeleteActivityRequest(name=session.activity)
        await activities(other).DeleteActivity(request, metadata=runner.metadata)
        assert await watch.end() == pb.WATCH_END_DELETED


async def test_a_watch_of_what_has_ended_ends_at_once_and_of_what_never_was_is_refused(
    one: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id)
    session.go_on(1)
    async with live(one, session) as tracker:
        await tracker.send(*batches(session))
        await tracker.finished(session)
    watch = Watch(one, runner, session)
    assert await watch.end(WITHIN_S) == pb.WATCH_END_FINISHED
    assert len(watch.events) == 1
    request = pb.DeleteActivityRequest(name=session.activity)
    await activities(one).DeleteActivity(request, metadata=runner.metadata)
    for gone in (session, Recorded(runner.id)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await Watch(one, runner, gone).call.read()
        assert reason_of(refused.value) == "ACTIVITY_NOT_FOUND"


async def test_an_end_that_the_watcher_was_not_told_of_is_found_in_the_store(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_AGAIN_S", 0.5)
    monkeypatch.setattr(one.tracker.live, "offer", lambda *_: None)
    session = Recorded(runner.id)
    async with live(one, session) as tracker:
        watch = Watch(one, runner, session)
        await watch.until("heartbeat")
        await tracker.finished(session)
        assert await watch.end(3.0) == pb.WATCH_END_FINISHED


async def test_an_activity_that_ends_just_before_the_updates_come_is_seen_to_have_ended(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Recorded(runner.id)
    async with live(one, session) as tracker:
        watched = one.tracker.live.watch
        finishing: list[Any] = []

        @asynccontextmanager
        async def late(activity: str) -> AsyncIterator[Any]:
            finishing.append(await tracker.finished(session))
            await asyncio.sleep(0.1)
            async with watched(activity) as updates:
                yield updates

        monkeypatch.setattr(one.tracker.live, "watch", late)
        assert await Watch(one, runner, session).end(3.0) == pb.WATCH_END_FINISHED
        assert finishing


async def test_while_nothing_comes_there_are_heartbeats(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HEARTBEAT_S", 0.5)
    session = Recorded(runner.id)
    async with live(one, session):
        watch = Watch(one, runner, session)
        for _ in range(3):
            event = await watch.until("heartbeat", limit_s=3.0)
            assert event.heartbeat.time.seconds > 0
        watch.call.cancel()


async def test_a_worker_that_ends_asks_its_watchers_to_watch_again(
    one: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id)
    async with live(one, session):
        watch = Watch(one, runner, session)
        await watch.until("heartbeat")
        one.served.stopping.set()
        assert await watch.end() == pb.WATCH_END_RESUMABLE


async def test_when_redis_is_killed_a_watch_goes_on_or_asks_to_be_made_again(
    one: Worker, runner: Athlete, stores: Stores
) -> None:
    session = Recorded(runner.id)
    async with live(one, session) as tracker:
        watch = Watch(one, runner, session)
        await watch.until("heartbeat")
        stores.kill("redis")
        try:
            await asyncio.sleep(2.5)
        finally:
            stores.start("redis")
        sending = asyncio.create_task(_keep_sending(tracker, session))
        seen = await watch.until("update", "ended")
        if seen.HasField("ended"):
            assert seen.ended.reason == pb.WATCH_END_RESUMABLE
            watch = Watch(one, runner, session)
            await watch.until("update")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await tracker.finished(session)
        assert await watch.end() == pb.WATCH_END_FINISHED


async def _keep_sending(tracker: Line, session: Recorded) -> None:
    while True:
        await tracker.send(batch(session, session.go_on(2)))
        await asyncio.sleep(0.2)
