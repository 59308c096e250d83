"""Two workers and one session: no gap, no duplicate, one event, whoever was faster."""

from __future__ import annotations

import asyncio

import grpc
import psycopg

from palestra.training.v1 import activity_service_pb2 as api
from tests.support.recorded_sessions import Recorded
from tests.support.tracker_line import Line, batches, closing, line, opening
from tests.support.training_athlete import Athlete, activities, events_of
from tests.support.training_worker import Worker


async def stream(tracker: Line, session: Recorded, epoch: int, pause_s: float = 0.0) -> None:
    """Sends a session as a device does: from where it is told, until all is said."""
    first = await tracker.opened(session, epoch)
    for frame in batches(session, first, epoch):
        await tracker.send(frame)
        await asyncio.sleep(pause_s)


async def test_a_newer_opening_fences_the_older_stream_in_the_middle_of_its_batches(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id)
    for _ in range(120):
        session.go_on(3)
    async with line(one.channel) as older, line(other.channel) as newer:
        first = asyncio.create_task(stream(older, session, 1, pause_s=0.002))
        await older.acknowledged(session, 20)
        await stream(newer, session, 2)
        await newer.finished(session, 2)
        await first
        await older.until(lambda: older.rejects(session))
        refused = older.rejects(session)[0]
        assert (refused.reason, refused.final) == ("SESSION_FENCED", True)
        # What the older stream sends from now on is refused, repeats of stored batches too.
        told = len(older.of(session))
        await older.send(batches(session)[0], closing(session), opening(session))
        await older.until(lambda: len(older.of(session)) >= told + 3)
        assert {each.reason for each in older.rejects(session)} == {"SESSION_FENCED"}
        resumed_at = newer.of(session)[0].opened.resume_from_seq
        assert older.last_ack(session) <= resumed_at - 1
    assert await runner.lost_or_doubled(one, session) == []
    assert await events_of(one, session.activity) == [("ActivityRecorded", 1)]


async def test_the_same_opening_on_two_streams_stores_each_batch_once(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id)
    for _ in range(60):
        session.go_on(4)
    async with line(one.channel) as left, line(other.channel) as right:
        await asyncio.gather(
            stream(left, session, 1, pause_s=0.001), stream(right, session, 1, pause_s=0.001)
        )
        await asyncio.gather(left.acknowledged(session, 60), right.acknowledged(session, 60))
        await asyncio.gather(left.finished(session), right.finished(session))
        # Who was slower at a batch may have asked for one that the other had just stored.
        assert {each.reason for each in left.rejects(session) + right.rejects(session)} == set()
    assert await runner.lost_or_doubled(one, session) == []
    assert await events_of(one, session.activity) == [("ActivityRecorded", 1)]


async def test_closed_on_two_workers_at_once_it_is_told_of_once_and_both_hear_the_same(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    for _ in range(10):
        session = Recorded(runner.id)
        for _ in range(3):
            session.go_on(5)
        async with line(one.channel) as left, line(other.channel) as right:
            await left.opened(session)
            await right.opened(session)
            await left.send(*batches(session))
            await left.acknowledged(session, 3)
            ends = await asyncio.gather(left.finished(session), right.finished(session))
        assert ends[0] == ends[1]
        assert await events_of(one, session.activity) == [("ActivityRecorded", 1)]
        assert await runner.lost_or_doubled(one, session) == []


async def test_a_close_that_races_with_a_late_batch_keeps_all_or_refuses_it(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    for turn in range(10):
        session = Recorded(runner.id)
        for _ in range(2):
            session.go_on(turn)
        async with line(one.channel) as left, line(other.channel) as right:
            await left.opened(session)
            await right.opened(session)
            await left.send(*batches(session))
            await left.acknowledged(session, 2)
            end = closing(session)
            late = session.go_on(turn)
            await asyncio.gather(right.send(end), left.send(*batches(session, first=late.seq)))
            await left.answered(session, 3)
            await right.answered(session, 2)
            answer = right.of(session)[-1]
            if left.last_ack(session) == late.seq:
                # The batch came first: the close named another end, and is refused by number.
                assert answer.reject.reason == "BATCH_MALFORMED"
                assert answer.reject.resume_from_seq == late.seq + 1
                await right.finished(session)
            else:
                assert answer.HasField("finished")
                assert [each.reason for each in left.rejects(session)] == ["SESSION_CLOSED"]
                del session.rows[-(len(late.time_deltas_ms) // 4) :]
        assert await runner.lost_or_doubled(one, session) == []
        assert await events_of(one, session.activity) == [("ActivityRecorded", 1)]


async def test_a_close_that_races_with_a_deletion_ends_in_one_of_both(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    for turn in range(10):
        session = Recorded(runner.id)
        session.go_on(turn)
        async with line(one.channel) as tracker:
            await tracker.opened(session)
            await tracker.send(*batches(session))
            await tracker.acknowledged(session, 1)
            _, code = await asyncio.gather(
                tracker.finished(session), deleted(other, runner, session)
            )
            assert code is grpc.StatusCode.OK
        told = await events_of(one, session.activity)
        assert told in ([], [("ActivityRecorded", 1), ("ActivityDeleted", 2)])
        get = activities(one).GetActivity(
            api.GetActivityRequest(name=session.activity), metadata=runner.metadata
        )
        assert await get.code() is grpc.StatusCode.NOT_FOUND


async def deleted(worker: Worker, runner: Athlete, session: Recorded) -> grpc.StatusCode:
    request = api.DeleteActivityRequest(name=session.activity)
    return await activities(worker).DeleteActivity(request, metadata=runner.metadata).code()


async def test_a_deletion_that_waits_for_a_close_holds_nothing_that_the_close_needs(
    one: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
    key = {"session": session.id}
    async with await psycopg.AsyncConnection.connect(one.database.url) as closes:
        # As far as a close comes with its first statement.
        await closes.execute(
            "UPDATE sessions SET touched_at = now() WHERE session_id = %(session)s", key
        )
        deletion = asyncio.create_task(deleted(one, runner, session))
        await asyncio.sleep(0.2)
        assert not deletion.done()
        await closes.execute(
            "SELECT 1 FROM activities WHERE activity_id = %(session)s FOR UPDATE NOWAIT", key
        )
    assert await deletion is grpc.StatusCode.OK
