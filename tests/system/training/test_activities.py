"""Activities: read, listed, corrected, deleted, drawn, by many at once."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Sequence
from typing import Any

import grpc
import orjson
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from mesh.runtime import pages
from palestra.training.v1 import activity_pb2, sport_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from tests.support.grpc_errors import reason_of
from tests.support.made_tokens import Signer
from tests.support.recorded_sessions import START_MS, Recorded
from tests.support.tracker_line import batches, closing, line, opening
from tests.support.training_athlete import Athlete, activities, athlete, events_of
from tests.support.training_worker import Worker

DAY_MS = 86_400_000


async def finished(worker: Worker, sessions: Sequence[Recorded]) -> None:
    """Takes whole sessions, in one breath."""
    async with line(worker.channel) as tracker:
        for session in sessions:
            await tracker.send(opening(session), *batches(session), closing(session))
        for session in sessions:
            await tracker.until(
                lambda of=session: any(each.HasField("finished") for each in tracker.of(of))  # type: ignore[misc]
            )


def recorded(runner: Athlete, day: int = 0, batch_count: int = 2, **fields: Any) -> Recorded:
    session = Recorded(runner.id, start_ms=START_MS + day * DAY_MS, **fields)
    for _ in range(batch_count):
        session.go_on(9)
    return session


async def listed(worker: Worker, runner: Athlete, **fields: Any) -> pb.ListActivitiesResponse:
    request = pb.ListActivitiesRequest(parent=runner.name, **fields)
    return await activities(worker).ListActivities(request, metadata=runner.metadata)


async def names_on_pages(worker: Worker, runner: Athlete, **fields: Any) -> list[str]:
    names: list[str] = []
    token = ""
    for _ in range(50):
        page = await listed(worker, runner, page_token=token, **fields)
        names += [each.name for each in page.activities]
        token = page.next_page_token
        if not token:
            return names
    raise AssertionError("the pages do not end")


async def refusal(call: Awaitable[object]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return reason_of(refused.value)


async def test_pages_show_each_activity_once_though_others_come_and_go_meanwhile(
    one: Worker, runner: Athlete, signer: Signer
) -> None:
    # Two that began at the same instant, and somebody else's.
    sessions = [recorded(runner, day) for day in range(8)] + [recorded(runner, 3)]
    stranger = athlete(signer)
    await finished(one, [*sessions, recorded(stranger)])
    ordered = sorted(sessions, key=lambda each: (each.start_ms, each.id.int), reverse=True)
    first = await listed(one, runner, page_size=4)
    assert [each.name for each in first.activities] == [each.activity for each in ordered[:4]]
    await finished(one, [recorded(runner, 20), recorded(runner, 6)])
    gone = pb.DeleteActivityRequest(name=ordered[5].activity)
    await activities(one).DeleteActivity(gone, metadata=runner.metadata)
    second = await listed(one, runner, page_size=4, page_token=first.next_page_token)
    expected = [each.activity for each in ordered[4:] if each is not ordered[5]]
    assert [each.name for each in second.activities] == expected[:4]
    assert not second.next_page_token or len(expected) > 4
    everything = await names_on_pages(one, runner, page_size=1)
    assert len(everything) == len(set(everything)) == 10
    assert await names_on_pages(one, runner, page_size=3, order_by="start_time") == everything[::-1]
    assert await names_on_pages(one, runner) == everything


async def test_a_list_can_be_filtered_by_sport_and_time_and_answers_the_fields_that_are_asked_for(
    one: Worker, runner: Athlete
) -> None:
    rides = [recorded(runner, day, sport=sport_pb2.SPORT_CYCLING) for day in (1, 3, 5)]
    runs = [recorded(runner, day) for day in (0, 2, 4)]
    await finished(one, [*rides, *runs])
    begin = "2026-05-31T00:00:00Z"
    by_sport = await names_on_pages(one, runner, filter="sport = SPORT_CYCLING", page_size=2)
    assert by_sport == [each.activity for each in reversed(rides)]
    text = f'sport != SPORT_CYCLING AND start_time >= "{begin}"'
    assert await names_on_pages(one, runner, filter=text) == [runs[2].activity]
    answer = await listed(one, runner, read_mask=FieldMask(paths=["name", "sport"]), page_size=1)
    (shown,) = answer.activities
    assert [field.name for field, _ in shown.ListFields()] == ["name", "sport"]
    call = activities(one).ListActivities
    for bad, reason in (
        ({"filter": "heart_rate > 100"}, "FILTER_INVALID"),
        ({"order_by": "title"}, "INVALID_FIELD"),
        ({"read_mask": FieldMask(paths=["nonsense"])}, "INVALID_FIELD"),
        ({"page_size": 201}, "INVALID_FIELD"),
    ):
        request = pb.ListActivitiesRequest(parent=runner.name, **bad)
        assert await refusal(call(request, metadata=runner.metadata)) == reason, bad


def forged(runner: Athlete, cursor: object) -> str:
    return pages.token(f"{runner.name}\0\0", cursor)  # type: ignore[arg-type]


async def test_a_page_token_of_another_request_or_of_nobody_is_refused(
    one: Worker, runner: Athlete, signer: Signer
) -> None:
    stranger = athlete(signer)
    await finished(one, [recorded(each, day) for each in (runner, stranger) for day in range(2)])
    token = (await listed(one, runner, page_size=1)).next_page_token
    of_stranger = (await listed(one, stranger, page_size=1)).next_page_token
    junk = base64.urlsafe_b64encode(orjson.dumps(["x", [1]])).decode()
    for fields in (
        {"page_token": token, "filter": "sport = SPORT_RUNNING"},
        {"page_token": token, "order_by": "start_time"},
        {"page_token": of_stranger},
        {"page_token": "not a token"},
        {"page_token": junk},
        {"page_token": forged(runner, ["yesterday", "x"])},
        {"page_token": forged(runner, [1, 2])},
        {"page_token": forged(runner, ["2026-01-01T00:00:00", str(runner.id)])},
        {"page_token": forged(runner, [])},
    ):
        request = pb.ListActivitiesRequest(parent=runner.name, **fields)  # type: ignore[arg-type]
        call = activities(one).ListActivities(request, metadata=runner.metadata)
        assert await refusal(call) == "PAGE_TOKEN_INVALID", fields
    # The size of the page is not part of what must stay the same (AIP-158).
    assert len((await listed(one, runner, page_size=5, page_token=token)).activities) == 1


async def test_others_see_nothing_and_what_never_was_is_not_found(
    one: Worker, runner: Athlete, signer: Signer
) -> None:
    session = recorded(runner)
    await finished(one, [session])
    stranger = athlete(signer)
    request = pb.GetActivityRequest(name=session.activity)
    call = activities(one).GetActivity
    assert await refusal(call(request, metadata=stranger.metadata)) == "ACTIVITY_NOT_FOUND"
    request.name = Recorded(runner.id).activity
    assert await refusal(call(request, metadata=runner.metadata)) == "ACTIVITY_NOT_FOUND"
    request.name = session.activity.replace(str(runner.id), "me")
    masked = pb.GetActivityRequest(name=request.name, read_mask=FieldMask(paths=["sport"]))
    answer = await call(masked, metadata=runner.metadata)
    assert answer.activity == activity_pb2.Activity(sport=sport_pb2.SPORT_RUNNING)


async def updated(
    worker: Worker, runner: Athlete, session: Recorded, paths: Sequence[str], **fields: Any
) -> activity_pb2.Activity:
    request = pb.UpdateActivityRequest(
        activity=activity_pb2.Activity(name=session.activity, **fields),
        update_mask=FieldMask(paths=paths),
    )
    answer = await activities(worker).UpdateActivity(request, metadata=runner.metadata)
    return answer.activity


async def test_an_update_sets_what_its_mask_names_under_the_etag_that_was_read(
    one: Worker, runner: Athlete
) -> None:
    session = recorded(runner)
    await finished(one, [session])
    read = await runner.activity(one, session)
    first = await updated(one, runner, session, ["title"], title="Morning", notes="not this")
    assert (first.title, first.notes) == ("Morning", "")
    assert first.etag != read.etag
    assert first.summary == read.summary
    # The same again: nothing changes, though the etag is that of before.
    again = await updated(one, runner, session, ["title"], title="Morning", etag=read.etag)
    assert again == first
    stale = pb.UpdateActivityRequest(
        activity=activity_pb2.Activity(name=session.activity, title="Late", etag=read.etag)
    )
    call = activities(one).UpdateActivity
    assert await refusal(call(stale, metadata=runner.metadata)) == "ETAG_MISMATCH"
    for bad in ("summary", "state", "nonsense"):
        request = pb.UpdateActivityRequest(
            activity=stale.activity, update_mask=FieldMask(paths=[bad])
        )
        assert await refusal(call(request, metadata=runner.metadata)) == "INVALID_FIELD", bad
    long = pb.UpdateActivityRequest(
        activity=activity_pb2.Activity(name=session.activity, title="x" * 121)
    )
    assert await refusal(call(long, metadata=runner.metadata)) == "INVALID_FIELD"
    assert await runner.activity(one, session) == first
    assert await events_of(one, session.activity) == [("ActivityRecorded", 1)]


async def test_updates_at_the_same_time_on_two_workers_lose_none(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = recorded(runner)
    await finished(one, [session])
    done = await runner.activity(one, session)
    for turn in range(8):
        await asyncio.gather(
            updated(one, runner, session, ["title"], title=f"title {turn}"),
            updated(other, runner, session, ["notes"], notes=f"notes {turn}"),
        )
        done = await runner.activity(one, session)
        assert (done.title, done.notes) == (f"title {turn}", f"notes {turn}")
    assert done.etag == str(2 + 16)


async def test_changed_while_live_it_finishes_with_the_change(one: Worker, runner: Athlete) -> None:
    session = recorded(runner)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*batches(session))
        await updated(
            one, runner, session, ["sport", "title"], sport=sport_pb2.SPORT_HIKING, title="Up"
        )
        await tracker.finished(session)
    done = await runner.activity(one, session)
    assert (done.sport, done.title) == (sport_pb2.SPORT_HIKING, "Up")
    assert done.state == activity_pb2.ACTIVITY_STATE_FINISHED
    assert await events_of(one, session.activity) == [("ActivityRecorded", 1)]


async def test_deleted_twice_it_is_told_of_once_and_its_samples_are_gone(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = recorded(runner)
    await finished(one, [session])
    read = await runner.activity(one, session)
    await updated(one, runner, session, ["title"], title="Changed since")
    stale = pb.DeleteActivityRequest(name=session.activity, etag=read.etag)
    call = activities(one).DeleteActivity
    assert await refusal(call(stale, metadata=runner.metadata)) == "ETAG_MISMATCH"
    request = pb.DeleteActivityRequest(name=session.activity)
    codes = await asyncio.gather(
        *(
            activities(each).DeleteActivity(request, metadata=runner.metadata).code()
            for each in (one, other, one, other)
        )
    )
    assert set(codes) == {grpc.StatusCode.OK}
    assert await call(request, metadata=runner.metadata) == pb.DeleteActivityResponse()
    assert await events_of(one, session.activity) == [
        ("ActivityRecorded", 1),
        ("ActivityDeleted", 2),
    ]
    assert not (await listed(one, runner)).activities
    streams = pb.GetActivityStreamsRequest(name=session.activity)
    got = activities(one).GetActivityStreams(streams, metadata=runner.metadata)
    assert await refusal(got) == "ACTIVITY_NOT_FOUND"
    for table in ("streams", "chunks"):
        assert await _count(one, table, session) == 0
    never = pb.DeleteActivityRequest(name=Recorded(runner.id).activity)
    assert await refusal(call(never, metadata=runner.metadata)) == "ACTIVITY_NOT_FOUND"


async def _count(worker: Worker, table: str, session: Recorded) -> int:
    import psycopg
    from psycopg import sql

    column = "activity_id" if table == "streams" else "session_id"
    query = sql.SQL("SELECT count(*) FROM {} WHERE {} = %s").format(
        sql.Identifier(table), sql.Identifier(column)
    )
    async with await psycopg.AsyncConnection.connect(worker.database.url) as connection:
        found = await (await connection.execute(query, (session.id,))).fetchone()
    assert found is not None
    return int(found[0])


async def downloaded(worker: Worker, runner: Athlete, session: Recorded, **fields: Any) -> Any:
    request = pb.DownloadActivityStreamsRequest(name=session.activity, **fields)
    answer = await activities(worker).DownloadActivityStreams(request, metadata=runner.metadata)
    assert answer.content_type == "application/json"
    return json.loads(answer.data)


async def test_streams_are_thinned_to_a_thousand_points_with_minima_and_maxima_and_all_on_request(
    one: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id)
    for number in range(0, 3_000, 100):
        session.record(
            [
                (session.start_ms + 1000 * step, (60 + step % 50, *[None] * 6))
                for step in range(number, number + 100)
            ]
        )
    session.record([(session.start_ms + 3_000_000, (250, *[None] * 6))])
    session.record([(session.start_ms + 3_001_000, (25, *[None] * 6))])
    session.go_on(1)
    await finished(one, [session])
    pulse = [row[1][0] for row in session.rows if row[1][0] is not None]
    thinned = await downloaded(one, runner, session, channels=["HEART_RATE"])
    assert 900 <= len(thinned["timeMs"]) <= 1_000
    assert list(thinned["channels"]) == ["HEART_RATE"]
    shown = thinned["channels"]["HEART_RATE"]
    assert (max(shown), min(shown)) == (250, 25)
    assert (shown[0], shown[-1]) == (pulse[0], pulse[-1])
    whole = await downloaded(one, runner, session, channels=["HEART_RATE"], resolution=0)
    assert whole["channels"]["HEART_RATE"] == pulse
    few = await downloaded(one, runner, session, resolution=7)
    assert len(few["timeMs"]) <= 7
    both = await downloaded(one, runner, session, resolution=0)
    assert None in both["channels"]["SPEED"]
    assert list(both["channels"]) == [each.name for each in session.channels]
    nothing = await downloaded(one, runner, session, channels=["NO_SUCH"])
    assert nothing == {"timeMs": [], "channels": {}}


async def test_the_streams_of_an_activity_that_ends_while_they_are_read_are_whole(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = recorded(runner)
    store = one.activities._samples.store
    read = store.chunks
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*batches(session))
        await tracker.acknowledged(session, 2)

        async def after_the_end(activity: Any) -> bytes:
            if not any(each.HasField("finished") for each in tracker.of(session)):
                await tracker.finished(session)
            return await read(activity)

        monkeypatch.setattr(store, "chunks", after_the_end)
        assert await runner.lost_or_doubled(one, session) == []
    streams = store.streams

    async def after_deletion(activity: Any, channels: Any) -> Any:
        request = pb.DeleteActivityRequest(name=session.activity)
        await activities(one).DeleteActivity(request, metadata=runner.metadata)
        return await streams(activity, channels)

    monkeypatch.setattr(store, "streams", after_deletion)
    request = pb.GetActivityStreamsRequest(name=session.activity)
    got = activities(one).GetActivityStreams(request, metadata=runner.metadata)
    assert await refusal(got) == "ACTIVITY_NOT_FOUND"
