"""Progress through the real outbox, relay, stream and consumer: the sum of what there is, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.type.date_pb2 import Date

from mesh.runtime import relay
from mesh.runtime.service import connect_redis
from palestra.training.v1 import activity_pb2, progress_service_pb2, sport_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from tests.support.grpc_errors import reason_of
from tests.support.made_tokens import Signer
from tests.support.recorded_sessions import START_MS, Recorded
from tests.support.stores import Stores
from tests.support.told_counters import until
from tests.support.tracker_line import batches, closing, line, opening
from tests.support.training_athlete import Athlete, activities, athlete, progress
from tests.support.training_worker import TRAINING, Worker, worker

DAY_MS = 86_400_000
FIRST, LAST = Date(year=2026, month=1, day=1), Date(year=2026, month=12, day=31)
Totals = dict[tuple[str, int], tuple[int, int, int, int]]
"""By first day and sport: activities, elapsed ms, moving ms, distance in mm."""


@pytest.fixture
async def on_the_bus(folder: Path, stores: Stores, signer: Signer) -> AsyncIterator[Worker]:
    async with worker(folder, stores, signer, 7, on_the_bus=True) as made:
        yield made


async def finished(at: Worker, sessions: list[Recorded]) -> None:
    async with line(at.channel) as tracker:
        for session in sessions:
            await tracker.send(opening(session), *batches(session), closing(session))
        await tracker.until(
            lambda: sum(each.HasField("finished") for each in tracker.results) == len(sessions)
        )


def recorded(person: Athlete, day: int, sport: sport_pb2.Sport.ValueType) -> Recorded:
    session = Recorded(person.id, sport=sport, start_ms=START_MS + day * DAY_MS)
    for _ in range(1 + day % 3):
        session.go_on(day)
    return session


async def counted(
    at: Worker, person: Athlete, period: progress_service_pb2.Period.ValueType
) -> Totals:
    request = progress_service_pb2.GetProgressRequest(
        name=f"{person.name}/progress", period=period, start_date=FIRST, end_date=LAST
    )
    answer = await progress(at).GetProgress(request, metadata=person.metadata)
    return {
        (_day(each.start_date), each.sport): (
            each.activity_count,
            round(each.elapsed_s * 1000),
            round(each.moving_s * 1000),
            round(each.distance_m * 1000),
        )
        for each in answer.progress.totals
    }


def _day(day: Date) -> str:
    return f"{day.year}-{day.month:02}-{day.day:02}"


async def added_up(at: Worker, person: Athlete) -> Totals:
    """What the activities themselves add up to, by day."""
    request = pb.ListActivitiesRequest(parent=person.name, page_size=200)
    answer = await activities(at).ListActivities(request, metadata=person.metadata)
    sums: dict[tuple[str, int], Counter[str]] = {}
    for each in answer.activities:
        local = datetime.fromtimestamp(each.start_time.seconds, UTC) + timedelta(hours=3)
        total = sums.setdefault((f"{local:%Y-%m-%d}", each.sport), Counter())
        total["count"] += 1
        total["elapsed"] += round(each.summary.elapsed_s * 1000)
        total["moving"] += round(each.summary.moving_s * 1000)
        total["distance"] += round(each.summary.distance_m * 1000)
    return {
        key: (each["count"], each["elapsed"], each["moving"], each["distance"])
        for key, each in sums.items()
    }


async def test_what_is_told_twice_counts_once_and_the_totals_are_the_sum_of_the_activities(
    on_the_bus: Worker, one: Worker, runner: Athlete, stores: Stores
) -> None:
    sports = [sport_pb2.SPORT_RUNNING, sport_pb2.SPORT_CYCLING]
    sessions = [recorded(runner, number // 2, sports[number % 3 % 2]) for number in range(24)]
    await finished(one, sessions)

    async def agree() -> bool:
        return await counted(one, runner, progress_service_pb2.PERIOD_DAY) == await added_up(
            one, runner
        )

    await until(agree)
    # Told again, each of them, as a relay does that died before it could remember.
    redis = connect_redis(stores.redis_url(TRAINING))
    for number in range(relay.PARTITIONS):
        stream = relay.stream(TRAINING, number)
        for _, fields in await redis.xrange(stream) or ():
            await redis.xadd(stream, fields)  # type: ignore[arg-type]
    # Corrected and deleted, while the repeats are on their way.
    changes = [_resorted(one, runner, each) for each in sessions[:6]]
    changes += [_deleted(one, runner, each) for each in sessions[3:9]]
    assert set(await asyncio.gather(*changes)) <= {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND}
    await until(agree)
    await until(lambda: _all_read(redis))
    assert await agree()
    months = await counted(one, runner, progress_service_pb2.PERIOD_MONTH)
    days = await added_up(one, runner)
    assert sum(each[0] for each in months.values()) == sum(each[0] for each in days.values()) == 18
    assert sum(each[3] for each in months.values()) == sum(each[3] for each in days.values())
    await redis.aclose()


async def _all_read(redis: object) -> bool:
    for number in range(relay.PARTITIONS):
        stream = relay.stream(TRAINING, number)
        for group in await redis.xinfo_groups(stream):  # type: ignore[attr-defined]
            if group["pending"] or group["lag"]:
                return False
    return True


async def _resorted(at: Worker, person: Athlete, session: Recorded) -> grpc.StatusCode:
    activity = activity_pb2.Activity(name=session.activity, sport=sport_pb2.SPORT_HIKING)
    request = pb.UpdateActivityRequest(activity=activity)
    return await activities(at).UpdateActivity(request, metadata=person.metadata).code()


async def _deleted(at: Worker, person: Athlete, session: Recorded) -> grpc.StatusCode:
    request = pb.DeleteActivityRequest(name=session.activity)
    return await activities(at).DeleteActivity(request, metadata=person.metadata).code()


async def test_a_corrected_sport_moves_what_the_activity_counts_for(
    on_the_bus: Worker, runner: Athlete
) -> None:
    session = recorded(runner, 0, sport_pb2.SPORT_RUNNING)
    await finished(on_the_bus, [session])
    day = "2026-05-28"

    async def counts_as(sport: sport_pb2.Sport.ValueType) -> bool:
        totals = await counted(on_the_bus, runner, progress_service_pb2.PERIOD_DAY)
        return list(totals) == [(day, sport)] and totals[day, sport][0] == 1

    await until(lambda: counts_as(sport_pb2.SPORT_RUNNING))
    assert await _resorted(on_the_bus, runner, session) is grpc.StatusCode.OK
    await until(lambda: counts_as(sport_pb2.SPORT_HIKING))
    assert await _deleted(on_the_bus, runner, session) is grpc.StatusCode.OK

    async def nothing() -> bool:
        return await counted(on_the_bus, runner, progress_service_pb2.PERIOD_DAY) == {}

    await until(nothing)


async def test_where_the_day_has_begun_already_todays_workout_is_in_the_usual_range(
    on_the_bus: Worker, runner: Athlete
) -> None:
    # It began just now, in the offset in which it is tomorrow for longest.
    session = Recorded(runner.id, start_ms=int(datetime.now(UTC).timestamp() * 1000))
    session.go_on(1)
    description = session.description
    description.utc_offset_s = 14 * 3600
    frame = opening(session)
    frame.open.CopyFrom(description)
    async with line(on_the_bus.channel) as tracker:
        await tracker.send(frame, *batches(session), closing(session))
        await tracker.until(lambda: any(each.HasField("finished") for each in tracker.results))
    request = progress_service_pb2.GetProgressRequest(name=f"{runner.name}/progress")

    async def seen() -> bool:
        answer = await progress(on_the_bus).GetProgress(request, metadata=runner.metadata)
        return [each.activity_count for each in answer.progress.totals] == [1]

    await until(seen)


async def test_a_range_that_cannot_be_and_somebody_elses_progress_are_refused(
    one: Worker, runner: Athlete, signer: Signer
) -> None:
    name = f"{runner.name}/progress"
    later = progress_service_pb2.GetProgressRequest(name=name, start_date=LAST, end_date=FIRST)
    no_day = progress_service_pb2.GetProgressRequest(name=name, end_date=Date(year=2026, month=2))
    mine = progress_service_pb2.GetProgressRequest(name=name)
    for request, person, reason in (
        (later, runner, "INVALID_FIELD"),
        (no_day, runner, "INVALID_FIELD"),
        (mine, athlete(signer), "NOT_OWNER"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await progress(one).GetProgress(request, metadata=person.metadata)
        assert reason_of(refused.value) == reason
