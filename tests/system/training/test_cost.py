"""What training's hot paths cost in CPU time of its process; printed, for the machine decides."""

from __future__ import annotations

import asyncio
import os
import struct
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from palestra.training.v1 import activity_service_pb2 as api
from palestra.training.v1 import telemetry_pb2
from palestra.training.v1 import tracker_service_pb2 as pb
from palestra.training.v1.activity_service_pb2_grpc import ActivityServiceStub
from tests.support.made_tokens import Signer
from tests.support.recorded_sessions import START_MS, Recorded
from tests.support.stores import Stores
from tests.support.tracker_line import Line, batch, line
from tests.support.training_athlete import athlete
from tests.support.training_process import Process, process

pytestmark = [pytest.mark.slow, pytest.mark.alone]

NAMES = (
    "HEART_RATE",
    "POWER",
    "CADENCE",
    "SPEED",
    "DISTANCE",
    "LATITUDE",
    "LONGITUDE",
    "ALTITUDE",
)
SAMPLES = 100
DELTAS = struct.pack("<i", 0) + struct.pack("<i", 1000) * (SAMPLES - 1)


def measured(session: Recorded) -> telemetry_pb2.Batch:
    """The next batch of 100 samples in eight channels."""
    seq = len(session.batches) + 1
    made = telemetry_pb2.Batch(
        seq=seq, first_time_ms=START_MS + seq * SAMPLES * 1000, time_deltas_ms=DELTAS
    )
    for channel in range(len(NAMES)):
        values = struct.pack(f"<{SAMPLES}i", *range(seq, seq + SAMPLES))
        made.columns.add(channel=channel, values=values)
    session.batches.append(made)
    return made


async def _feed(tracker: Line, sessions: list[Recorded], rounds: int) -> None:
    for _ in range(rounds):
        await tracker.send(*(batch(each, measured(each)) for each in sessions))
        for each in sessions:
            await tracker.acknowledged(each, len(each.batches))


@pytest.mark.parametrize(("sessions", "rounds"), [(1, 400), (20, 60), (200, 8)])
async def test_the_cost_of_a_batch(
    folder: Path, stores: Stores, signer: Signer, sessions: int, rounds: int
) -> None:
    user = uuid.uuid4()
    channels = [telemetry_pb2.ChannelDescription(name=name) for name in NAMES]
    made = [Recorded(user, channels=channels) for _ in range(sessions)]
    profile = os.environ.get("PROFILE_TRAINING", "")
    async with process(folder, stores, signer, profile) as training, line(training.channel) as to:
        for each in made:
            await to.opened(each)
        await _feed(to, made, 2)
        begun, before = time.monotonic(), training.cpu_us()
        await _feed(to, made, rounds)
        count = sessions * rounds
        used, wall = (training.cpu_us() - before) / count, time.monotonic() - begun
        print(
            f"\n{sessions} sessions a message: {used:.0f} µs a batch, {used / SAMPLES:.2f} µs a "
            f"sample, {count / wall:.0f} batches/s, {training.rss_mb():.0f} MB"
        )
        assert not [each for each in to.results if each.HasField("reject")]


async def _cost(training: Process, calls: int, call: Callable[[], Awaitable[object]]) -> float:
    for _ in range(50):
        await call()
    before = training.cpu_us()
    for _ in range(calls):
        await call()
    return (training.cpu_us() - before) / calls


async def test_the_cost_of_reading(folder: Path, stores: Stores, signer: Signer) -> None:
    person = athlete(signer)
    sessions = [Recorded(person.id, start_ms=START_MS + n * 86_400_000) for n in range(25)]
    profile = os.environ.get("PROFILE_TRAINING", "")
    async with process(folder, stores, signer, profile) as training:
        async with line(training.channel) as to:
            for each in sessions:
                for _ in range(3):
                    each.go_on(1)
                await to.opened(each)
                await to.send(*(batch(each, packed) for packed in each.batches))
                await to.finished(each)
        stub = ActivityServiceStub(training.channel)
        get = api.GetActivityRequest(name=sessions[0].activity)
        page = api.ListActivitiesRequest(parent=person.name)
        streams = api.GetActivityStreamsRequest(name=sessions[0].activity)
        costs: dict[str, Callable[[], Awaitable[object]]] = {
            "GetActivity": lambda: stub.GetActivity(get, metadata=person.metadata),
            "ListActivities of 20": lambda: stub.ListActivities(page, metadata=person.metadata),
            "GetActivityStreams": lambda: stub.GetActivityStreams(
                streams, metadata=person.metadata
            ),
        }
        assert len((await stub.ListActivities(page, metadata=person.metadata)).activities) == 20
        for name, call in costs.items():
            print(f"\n{name}: {await _cost(training, 400, call):.0f} µs")


async def test_a_frame_costs_as_little_in_a_small_message(
    folder: Path, stores: Stores, signer: Signer
) -> None:
    """What one message costs beside its batches."""
    session = Recorded(uuid.uuid4())
    async with process(folder, stores, signer) as training, line(training.channel) as to:
        await to.opened(session)
        before = training.cpu_us()
        for _ in range(300):
            await to.stream.write(pb.IngestTelemetryRequest())
        await to.send(batch(session, session.go_on(1)))
        await to.acknowledged(session, 1)
        print(f"\nan empty message: {(training.cpu_us() - before) / 300:.0f} µs")


@pytest.mark.parametrize("sessions", [1, 50])
async def test_the_cost_of_an_end(
    folder: Path, stores: Stores, signer: Signer, sessions: int
) -> None:
    """Of a session of 100 s with eight channels; of so many that end at the same instant."""
    user = uuid.uuid4()
    channels = [telemetry_pb2.ChannelDescription(name=name) for name in NAMES]
    rounds = 200 // sessions
    made = [[Recorded(user, channels=channels) for _ in range(sessions)] for _ in range(rounds + 1)]
    profile = os.environ.get("PROFILE_TRAINING", "")
    async with process(folder, stores, signer, profile) as training, line(training.channel) as to:
        spent = wall = 0.0
        for turn, some in enumerate(made):
            for each in some:
                await to.opened(each)
            await _feed(to, some, 1)
            before, begun = training.cpu_us(), time.monotonic()
            await asyncio.gather(*(to.finished(each) for each in some))
            if turn:
                spent += training.cpu_us() - before
                wall += time.monotonic() - begun
        print(
            f"\n{sessions} at once: {spent / rounds / sessions:.0f} µs an end, "
            f"{rounds * sessions / wall:.0f}/s"
        )
        assert not [each for each in to.results if each.HasField("reject")]
