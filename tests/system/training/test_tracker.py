"""The tracker through its real stream: what was sent is what is stored, and refusals are exact."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from sqlalchemy import bindparam, func, select

from mesh.runtime.retention import Retention
from mesh.runtime.sql import Statement
from palestra.training.v1 import activity_pb2, sport_pb2, telemetry_pb2
from palestra.training.v1 import activity_service_pb2 as api
from palestra.training.v1 import tracker_service_pb2 as pb
from services.training.samples.rules.batches import MAX_SAMPLES
from services.training.tables import ACTIVITIES
from tests.support.grpc_errors import reason_of
from tests.support.recorded_sessions import CHANNELS, START_MS, Recorded
from tests.support.tracker_line import batch, batches, clock, closing, line, opening
from tests.support.training_athlete import Athlete, activities, events_of
from tests.support.training_worker import Worker

_LEFT = Statement(
    select(func.count())
    .select_from(ACTIVITIES)
    .where(ACTIVITIES.c.activity_id == bindparam("activity"))
)


def recorded(runner: Athlete, count: int, seed: int = 1) -> Recorded:
    session = Recorded(runner.id)
    for _ in range(count):
        session.go_on(seed)
    return session


async def test_a_session_becomes_an_activity_with_every_sample_as_it_was_measured(
    one: Worker, runner: Athlete
) -> None:
    session = recorded(runner, 30)
    # A clock that was set back an hour, and a stretch in which nothing was measured.
    session.record([(START_MS - 3_600_000, (61, 3_100, 1, 5, 6, 700, 0.1 + 0.2))])
    session.record([(START_MS - 3_590_000 + step, (None,) * 7) for step in range(9)])
    session.record([(START_MS - 3_500_000, (-(2**31), 2**31 - 1, 0, 0, 0, 0, -0.0))])
    async with line(one.channel) as tracker:
        assert await tracker.opened(session) == 1
        await tracker.send(*batches(session), clock(session, 1_500, 40), clock(session, 90, 50))
        await tracker.acknowledged(session, 33)
        live = await runner.activity(one, session)
        assert live.state == activity_pb2.ACTIVITY_STATE_LIVE
        assert live.sample_count == len(session.rows)
        assert await runner.lost_or_doubled(one, session) == []
        finished = await tracker.finished(session)
    assert finished.activity == session.activity
    assert not tracker.rejects(session)
    done = await runner.activity(one, session)
    assert done.state == activity_pb2.ACTIVITY_STATE_FINISHED
    assert done.sample_count == len(session.rows)
    assert done.clock_offset_ms == 1_500
    assert done.utc_offset_s == 3 * 3600
    assert done.end_time.ToMilliseconds() == START_MS - 3_500_000
    assert [each.channel for each in done.summary.channels][:2] == ["HEART_RATE", "SPEED"]
    assert await runner.lost_or_doubled(one, session) == []
    assert await events_of(one, session.activity) == [("ActivityRecorded", 1)]


async def test_a_session_without_a_sample_can_be_finished(one: Worker, runner: Athlete) -> None:
    session = Recorded(runner.id)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.finished(session)
    assert (await runner.activity(one, session)).sample_count == 0
    assert await runner.lost_or_doubled(one, session) == []


async def test_batches_that_come_again_are_acknowledged_again_and_stored_once(
    one: Worker, runner: Athlete
) -> None:
    session = recorded(runner, 6)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*batches(session)[:4])
        await tracker.acknowledged(session, 4)
        before = len(tracker.of(session))
        await tracker.send(batch(session, session.batches[1]))
        await tracker.until(lambda: len(tracker.of(session)) > before)
        assert tracker.of(session)[-1].acknowledged_seq == 4
        await tracker.send(*batches(session), *batches(session))
        await tracker.finished(session)
    assert not tracker.rejects(session)
    assert await runner.lost_or_doubled(one, session) == []


def other_length(session: Recorded) -> telemetry_pb2.Batch:
    bad = telemetry_pb2.Batch()
    bad.CopyFrom(session.batches[2])
    bad.columns[0].values += b"\0\0\0\0"
    return bad


def unknown_channel(session: Recorded) -> telemetry_pb2.Batch:
    bad = telemetry_pb2.Batch()
    bad.CopyFrom(session.batches[2])
    bad.columns[0].channel = len(session.channels)
    return bad


def not_a_number(session: Recorded) -> telemetry_pb2.Batch:
    values = struct.pack("<d", float("inf"))
    column = telemetry_pb2.Column(channel=6, values=values)
    return telemetry_pb2.Batch(
        seq=3, first_time_ms=START_MS, time_deltas_ms=bytes(4), columns=[column]
    )


def without_samples(_: Recorded) -> telemetry_pb2.Batch:
    return telemetry_pb2.Batch(seq=3, first_time_ms=START_MS)


def clock_never_set(_: Recorded) -> telemetry_pb2.Batch:
    return telemetry_pb2.Batch(seq=3, first_time_ms=0, time_deltas_ms=bytes(4))


def too_long(_: Recorded) -> telemetry_pb2.Batch:
    deltas = bytes(4 * (MAX_SAMPLES + 1))
    return telemetry_pb2.Batch(seq=3, first_time_ms=START_MS, time_deltas_ms=deltas)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (other_length, "BATCH_MALFORMED"),
        (unknown_channel, "BATCH_MALFORMED"),
        (not_a_number, "BATCH_MALFORMED"),
        (without_samples, "BATCH_MALFORMED"),
        (clock_never_set, "BATCH_MALFORMED"),
        (too_long, "BATCH_TOO_LARGE"),
    ],
)
async def test_a_bad_batch_is_refused_by_number_and_the_right_one_is_taken_after_it(
    one: Worker, runner: Athlete, make: object, reason: str
) -> None:
    assert callable(make)
    session = recorded(runner, 4)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        good = batches(session)
        await tracker.send(good[0], good[1], batch(session, make(session)), good[3])
        await tracker.until(lambda: len(tracker.rejects(session)) == 2)
        first, second = tracker.rejects(session)
        assert (first.seq, first.reason, first.resume_from_seq) == (3, reason, 3)
        assert first.detail
        assert not first.final
        assert (second.seq, second.reason, second.resume_from_seq) == (4, "BATCH_OUT_OF_ORDER", 3)
        assert tracker.last_ack(session) == 2
        await tracker.send(*batches(session, first=3))
        await tracker.finished(session)
    assert await runner.lost_or_doubled(one, session) == []


async def test_what_was_never_opened_is_unknown_and_can_be_opened_then(
    one: Worker, runner: Athlete
) -> None:
    session = recorded(runner, 2)
    async with line(one.channel) as tracker:
        await tracker.send(batches(session)[0], clock(session, 1, 1), closing(session))
        await tracker.until(lambda: len(tracker.rejects(session)) == 3)
        for refused in tracker.rejects(session):
            assert (refused.reason, refused.final) == ("SESSION_UNKNOWN", False)
            assert refused.resume_from_seq == 1
        assert await tracker.opened(session) == 1
        await tracker.send(*batches(session))
        await tracker.finished(session)
    assert await runner.lost_or_doubled(one, session) == []


async def test_a_close_before_its_last_batch_says_where_to_go_on(
    one: Worker, runner: Athlete
) -> None:
    session = recorded(runner, 5)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*batches(session)[:3], closing(session))
        await tracker.until(lambda: tracker.rejects(session))
        (refused,) = tracker.rejects(session)
        assert (refused.reason, refused.resume_from_seq) == ("BATCH_OUT_OF_ORDER", 4)
        await tracker.send(*batches(session, first=4))
        await tracker.finished(session)
    assert await runner.lost_or_doubled(one, session) == []


async def test_the_same_open_again_changes_nothing_and_says_where_to_go_on(
    one: Worker, runner: Athlete
) -> None:
    session = recorded(runner, 3)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*batches(session)[:2])
        await tracker.acknowledged(session, 2)
        assert await tracker.opened(session) == 3
        await tracker.send(*batches(session, first=3))
        await tracker.finished(session)
    assert await runner.lost_or_doubled(one, session) == []


async def test_opened_or_closed_again_a_finished_session_says_how_it_ended_whatever_the_epoch(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = recorded(runner, 3)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*batches(session))
        first = await tracker.finished(session)
    for epoch in (1, 2):
        async with line(other.channel) as again:
            # All at once, as a device that never heard the answer would send it.
            await again.send(
                opening(session, epoch), *batches(session, 1, epoch), closing(session, epoch)
            )
            await again.until(lambda line=again: len(line.of(session)) >= 4)  # type: ignore[misc]
            answers = again.of(session)
            assert answers[0].opened.resume_from_seq == 4
            assert answers[1].finished == first
            assert answers[-1].finished == first
            assert again.last_ack(session) == 3
            assert not again.rejects(session)
    assert await events_of(one, session.activity) == [("ActivityRecorded", 1)]


async def test_a_batch_after_the_end_is_refused_for_good(one: Worker, runner: Athlete) -> None:
    session = recorded(runner, 2)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*batches(session))
        await tracker.finished(session)
        session.go_on(1)
        await tracker.send(*batches(session, first=3))
        await tracker.until(lambda: tracker.rejects(session))
    (refused,) = tracker.rejects(session)
    assert (refused.seq, refused.reason, refused.final) == (3, "SESSION_CLOSED", True)
    assert refused.resume_from_seq == 3
    assert (await runner.samples(one, session)).rows[-1] != session.rows[-1]


async def test_other_channels_are_taken_before_the_first_sample_and_refused_after_it(
    one: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id, channels=CHANNELS[:2])
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        session.channels = CHANNELS
        assert await tracker.opened(session) == 1
        session.go_on(1)
        await tracker.send(*batches(session))
        await tracker.acknowledged(session, 1)
        changed = Recorded(runner.id, session.id, channels=CHANNELS[:3])
        await tracker.send(opening(changed, 2))
        await tracker.until(lambda: tracker.rejects(session))
        (refused,) = tracker.rejects(session)
        assert (refused.reason, refused.final) == ("DESCRIPTION_CHANGED", True)
        session.go_on(1)
        await tracker.send(*batches(session, first=2))
        await tracker.finished(session)
    assert await runner.lost_or_doubled(one, session) == []


def description(**fields: object) -> telemetry_pb2.SessionDescription:
    made = telemetry_pb2.SessionDescription(sport=sport_pb2.SPORT_RUNNING, channels=CHANNELS)
    made.start_time.FromMilliseconds(START_MS)
    made.MergeFrom(telemetry_pb2.SessionDescription(**fields))  # type: ignore[arg-type]
    return made


def started_at(seconds: int) -> telemetry_pb2.SessionDescription:
    made = description()
    made.start_time.seconds = seconds
    return made


async def test_what_cannot_be_opened_is_refused_alone_and_the_stream_lives_on(
    one: Worker, runner: Athlete
) -> None:
    nameless = telemetry_pb2.ChannelDescription(name="no\nname")
    twice = telemetry_pb2.ChannelDescription(name="HEART_RATE")
    bad = {
        "no start": telemetry_pb2.SessionDescription(channels=CHANNELS),
        "far future": started_at(10**15),
        "far past": started_at(-(10**15)),
        "year 1": started_at(-62_135_596_800),
        "no channel": started_at(START_MS // 1000),
        "bad name": description(channels=[nameless]),
        "twice": description(channels=[twice]),
        "offset": description(utc_offset_s=10**9),
        "device": description(device="x" * 1000),
        "encoding": description(channels=[telemetry_pb2.ChannelDescription(name="a", encoding=9)]),  # type: ignore[arg-type]
    }
    del bad["no channel"].channels[:]
    sessions = {what: Recorded(runner.id) for what in bad}
    healthy = recorded(runner, 2)
    async with line(one.channel) as tracker:
        frames = [
            pb.SessionFrame(session=sessions[what].name, epoch=1, open=each)
            for what, each in bad.items()
        ]
        far = Recorded(runner.id)
        await tracker.send(*frames, opening(far, 2**64 - 1), opening(healthy), *batches(healthy))
        await tracker.send(pb.SessionFrame(session="users/me/sessions/1", epoch=1))
        await tracker.send(pb.SessionFrame(session=far.name, epoch=1))
        await tracker.finished(healthy)
        await tracker.until(lambda: tracker.of("users/me/sessions/1") and len(tracker.of(far)) > 1)
        for what, session in sessions.items():
            await tracker.until(lambda each=session: tracker.of(each))  # type: ignore[misc]
            reasons = [each.reason for each in tracker.rejects(session)]
            assert reasons == ["BATCH_MALFORMED"], what
            assert tracker.rejects(session)[0].final
        assert [each.reason for each in tracker.rejects(far)] == ["BATCH_MALFORMED"] * 2
        (nameless_one,) = tracker.rejects("users/me/sessions/1")
        assert (nameless_one.reason, nameless_one.final) == ("SESSION_UNKNOWN", True)
    assert await runner.lost_or_doubled(one, healthy) == []


NONSENSE = float("nan")


async def test_a_summary_that_makes_no_sense_does_not_keep_a_session_from_its_end(
    one: Worker, runner: Athlete
) -> None:
    strange = telemetry_pb2.DeviceSummary(distance_m=NONSENSE, moving_s=float("inf"))
    strange.end_time.seconds = 10**18
    lap = strange.laps.add(distance_m=-1.0)
    lap.start_time.seconds, lap.end_time.seconds = 10**18, -(10**18)
    pause = strange.pauses.add()
    pause.start_time.seconds, pause.end_time.seconds = -(10**18), 10**18
    session = recorded(runner, 3)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*batches(session), closing(session, summary=strange))
        await tracker.until(lambda: len(tracker.of(session)) > 2)
        if tracker.rejects(session):
            (refused,) = tracker.rejects(session)
            assert (refused.reason, refused.final) == ("BATCH_MALFORMED", False)
            await tracker.finished(session)
    done = await runner.activity(one, session)
    assert done.state == activity_pb2.ACTIVITY_STATE_FINISHED
    assert done.summary.distance_m > 0
    assert await runner.lost_or_doubled(one, session) == []


async def test_only_integration_may_call_it(one: Worker, runner: Athlete) -> None:
    from palestra.training.v1.tracker_service_pb2_grpc import TrackerServiceStub

    stream = TrackerServiceStub(one.channel).IngestTelemetry(None, metadata=runner.metadata)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream.read()
    assert reason_of(refused.value) == "CALLER_REFUSED"


async def test_deleted_while_batches_come_it_takes_no_more_and_nothing_of_it_stays(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = recorded(runner, 3)
    async with line(one.channel) as tracker:
        await tracker.opened(session)

        async def send() -> None:
            for number in range(200):
                session.go_on(1)
                await tracker.send(*batches(session, first=len(session.batches)))
                await asyncio.sleep(0.002)
                if tracker.rejects(session) and number > 50:
                    return

        await tracker.send(*batches(session))
        await tracker.acknowledged(session, 3)
        sending = asyncio.create_task(send())
        await asyncio.sleep(0.1)
        request = api.DeleteActivityRequest(name=session.activity)
        await activities(other).DeleteActivity(request, metadata=runner.metadata)
        await tracker.until(lambda: tracker.rejects(session))
        await sending
        refused = tracker.rejects(session)[0]
        assert (refused.reason, refused.final) == ("SESSION_CLOSED", True)
        await tracker.send(closing(session))
        await tracker.until(
            lambda: any(not each.seq for each in tracker.rejects(session)),
        )
    get = activities(one).GetActivity(
        api.GetActivityRequest(name=session.activity), metadata=runner.metadata
    )
    assert await get.code() is grpc.StatusCode.NOT_FOUND
    assert await events_of(one, session.activity) == []
    from sqlalchemy import bindparam, func, select

    from mesh.runtime.sql import Statement
    from services.training.tables import CHUNKS

    left = Statement(
        select(func.count()).select_from(CHUNKS).where(CHUNKS.c.session_id == bindparam("session"))
    )
    assert await one.database.row(left, {"session": session.id}) == (0,)


async def test_a_deleted_activity_is_dropped_in_time_and_a_late_device_brings_nothing_back(
    one: Worker, runner: Athlete
) -> None:
    session = recorded(runner, 2)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*batches(session))
        await tracker.finished(session)
    request = api.DeleteActivityRequest(name=session.activity)
    await activities(one).DeleteActivity(request, metadata=runner.metadata)

    async def dropped_after(time: timedelta) -> int:
        await Retention(one.database, [ACTIVITIES], lambda: datetime.now(UTC) + time).turn()
        row = await one.database.row(_LEFT, {"activity": session.id})
        assert row is not None
        return int(row[0])

    assert await dropped_after(timedelta(days=29)) == 1, "it can still be told that it is gone"
    assert await dropped_after(timedelta(days=31)) == 0
    async with line(one.channel) as tracker:
        await tracker.send(opening(session))
        await tracker.finished(session)
    get = activities(one).GetActivity(
        api.GetActivityRequest(name=session.activity), metadata=runner.metadata
    )
    assert await get.code() is grpc.StatusCode.NOT_FOUND
    assert await dropped_after(timedelta()) == 0
