"""Bounds of a stream: what is not durable, and what nobody hears, does not pile up."""

from __future__ import annotations

import asyncio
import struct
from contextlib import AsyncExitStack

import psycopg
import pytest

from palestra.training.v1 import activity_service_pb2 as api
from palestra.training.v1 import telemetry_pb2
from palestra.training.v1 import tracker_service_pb2 as pb
from palestra.training.v1.tracker_service_pb2_grpc import TrackerServiceStub
from services.training.tracker import ingest
from tests.support.recorded_sessions import START_MS, Recorded
from tests.support.tracker_line import batch, line, opening
from tests.support.training_athlete import Athlete, activities
from tests.support.training_worker import AS_INTEGRATION, Worker

MB = 1 << 20
IN_TRANSIT = 24 * MB
"""What gRPC and the sockets may hold between the two ends, and the message that is over."""


def heavy(session: Recorded) -> telemetry_pb2.Batch:
    """The next batch of about a quarter of a megabyte."""
    count = 3_600
    seq = len(session.batches) + 1
    made = telemetry_pb2.Batch(
        seq=seq,
        first_time_ms=START_MS + seq * count * 1000,
        time_deltas_ms=struct.pack("<i", 0) + struct.pack("<i", 1000) * (count - 1),
    )
    for channel in range(16):
        made.columns.add(channel=channel, values=struct.pack("<i", seq) * count)
    session.batches.append(made)
    return made


async def test_a_stream_faster_than_the_database_is_read_no_further_until_it_catches_up(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: list[ingest.Ingest] = []
    begin = ingest.Ingest.__init__

    def noted(self: ingest.Ingest, *arguments: object) -> None:
        streams.append(self)
        begin(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest.Ingest, "__init__", noted)
    channels = [telemetry_pb2.ChannelDescription(name=f"c{n}") for n in range(16)]
    session = Recorded(runner.id, channels=channels)
    written = 0
    async with line(one.channel) as tracker:
        await tracker.opened(session)

        async def send() -> None:
            nonlocal written
            for _ in range(400):
                frame = batch(session, heavy(session))
                await tracker.send(frame)
                written += frame.ByteSize()

        async with await psycopg.AsyncConnection.connect(one.database.url) as slow:
            await slow.execute(
                "SELECT 1 FROM sessions WHERE session_id = %s FOR UPDATE", (session.id,)
            )
            sending = asyncio.create_task(send())
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.7)
            assert not sending.done()
            assert written <= ingest.MOST_WAITING_BYTES + IN_TRANSIT
            (stream,) = streams
            assert stream._waiting_bytes <= ingest.MOST_WAITING_BYTES + 8 * MB
        await asyncio.wait_for(sending, 60)
        await tracker.acknowledged(session, 400)
        assert stream._waiting_bytes == 0


async def test_answers_that_nobody_reads_do_not_pile_up(
    one: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "MOST_UNHEARD", 500)
    most = 0
    tell = ingest.Ingest._tell

    def counted(self: ingest.Ingest, result: object) -> None:
        nonlocal most
        tell(self, result)  # type: ignore[arg-type]
        most = max(most, len(self._results))

    monkeypatch.setattr(ingest.Ingest, "_tell", counted)
    # Answered as soon as they are read: nothing else slows the stream down.
    frames = [pb.SessionFrame(session="nobody's", epoch=1)] * 200
    written = 0
    stream = TrackerServiceStub(one.channel).IngestTelemetry(None, metadata=AS_INTEGRATION)

    async def send() -> None:
        nonlocal written
        for _ in range(20_000):
            await stream.write(pb.IngestTelemetryRequest(frames=frames))
            written += len(frames)

    sending = asyncio.create_task(send())
    before = -1
    while before != written:
        before = written
        await asyncio.sleep(0.5)
    assert not sending.done()
    # It goes on where it stood when they are read.
    async with asyncio.timeout(20):
        while written == before:
            assert isinstance(await stream.read(), pb.IngestTelemetryResponse)
    stream.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert 500 < most <= 500 + len(frames)


async def test_a_stream_that_is_cut_in_the_middle_leaves_nothing_running(
    one: Worker, runner: Athlete
) -> None:
    before = asyncio.all_tasks()
    session = Recorded(runner.id)
    for _ in range(50):
        session.go_on(1)
    for _ in range(5):
        async with line(one.channel) as tracker:
            await tracker.send(
                opening(session), *(batch(session, each) for each in session.batches)
            )
            await asyncio.sleep(0.02)
    async with asyncio.timeout(5):
        while left := [
            task
            for task in asyncio.all_tasks() - before
            if "Ingest" in repr(task.get_coro()) or "IngestTelemetry" in task.get_name()
        ]:
            await asyncio.sleep(0.05)
    assert not left


async def test_a_worker_that_drains_commits_what_it_has_read_and_ends_the_stream(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = Recorded(runner.id)
    for _ in range(20):
        session.go_on(1)
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        await tracker.send(*(batch(session, each) for each in session.batches[:10]))
        await tracker.until(lambda: tracker.last_ack(session) > 0)
        one.served.stopping.set()
        await asyncio.wait_for(tracker.reading, 5)
        assert tracker.last_ack(session) == 10
    async with line(other.channel) as tracker:
        assert await tracker.opened(session, 2) == 11
        await tracker.send(*(batch(session, each, 2) for each in session.batches[10:]))
        await tracker.finished(session, 2)
    assert await runner.lost_or_doubled(other, session) == []


async def test_sessions_that_end_all_at_once_leave_room_for_whoever_asks(
    one: Worker, runner: Athlete
) -> None:
    """A race's watches stop together, and come through several workers of integration."""
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(line(one.channel)) for _ in range(3)]
        ended = Recorded(runner.id)
        await lines[0].opened(ended)
        await lines[0].finished(ended)
        ends: list[asyncio.Task[pb.SessionFinished]] = []
        async with await psycopg.AsyncConnection.connect(one.database.url) as slow:
            for tracker in lines:
                for _ in range(ingest.SLOW_AT_ONCE):
                    session = Recorded(runner.id)
                    await tracker.opened(session)
                    await slow.execute(
                        "SELECT 1 FROM activities WHERE activity_id = %s FOR UPDATE", (session.id,)
                    )
                    ends.append(asyncio.create_task(tracker.finished(session)))
            await asyncio.sleep(0.3)
            request = api.GetActivityRequest(name=ended.activity)
            await activities(one).GetActivity(request, metadata=runner.metadata, timeout=1)
            assert not any(each.done() for each in ends)
        for each in await asyncio.gather(*ends):
            assert each.activity
