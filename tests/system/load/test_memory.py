"""5,000 idle streams and consumers who do not read: memory is bounded, and printed."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack

import grpc
import pytest

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.integration.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from palestra.training.v1 import activity_service_pb2
from palestra.training.v1.activity_service_pb2_grpc import ActivityServiceStub
from palestra_client import open_channel
from tests.load import fan_out, limits, lines, sessions, world
from tests.load.closed_loop import Bounds
from tests.load.session import LIMIT_S, load_session, recording
from tests.load.world import World
from tests.support.whole_stack import WholeStack, whole_stack

pytestmark = [pytest.mark.slow, pytest.mark.alone]
IDLE = 5_000
IDLE_KIB = 96
"""Of a process for one idle stream: the edge, measured, takes half of it."""
DEAF, DEAF_KIB = 10, 3_072
"""Devices that hear nothing, and what all processes together may keep for one of them: the
windows between device, edge, node proxy and integration, each way."""
MOST_PINGS = 8_000
STUCK_S = 3.0
SLOW = 20
PROMPT_S = 1.0


@pytest.fixture(scope="module")
def stack() -> Iterator[WholeStack]:
    """A stack whose limits let one person open thousands of streams."""
    with whole_stack({}, limits.raised()) as running:
        yield running


async def _world(stack: WholeStack) -> World:
    person = await world.register(stack)
    return World(stack, person, person, "")


def _grown(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: round(after[name] - before[name]) for name in before}


async def test_a_device_that_does_not_hear_is_not_read_on(stack: WholeStack) -> None:
    found = await _world(stack)
    metadata = (await found.writer.sign_in()).metadata
    async with AsyncExitStack() as opened:
        # What a process takes only once is no device's share.
        await _deaf(stack, metadata, opened)
        before = sessions.resident_kib(found)
        sent = await asyncio.gather(*(_deaf(stack, metadata, opened) for _ in range(DEAF)))
        grown = _grown(before, sessions.resident_kib(found))
    print(f"\n{DEAF} deaf devices: held up after {sent} messages, KiB more {grown}")
    assert max(sent) < MOST_PINGS
    assert sum(grown.values()) <= DEAF * DEAF_KIB


async def _deaf(
    stack: WholeStack, metadata: tuple[tuple[str, str], ...], opened: AsyncExitStack
) -> int:
    """Asks and never reads an answer; how often before it was held up."""
    # Without these, gRPC itself would listen, and keep megabytes of what it hears.
    deaf = (("grpc.http2.lookahead_bytes", 1 << 16), ("grpc.http2.bdp_probe", 0))
    channel = grpc.aio.insecure_channel(stack.target, options=(*lines.OWN_CONNECTION, *deaf))
    opened.push_async_callback(channel.close, None)
    stream = TelemetryServiceStub(channel).StreamTelemetry(None, metadata=metadata)
    opened.callback(stream.cancel)
    made = recording(1, 1, time.time_ns() // 1_000_000)
    opening = pb.Open(session=str(uuid.uuid4()), epoch=1, description=made.description())
    await stream.write(pb.StreamTelemetryRequest(open=opening))
    ping = pb.ClockPing()
    # A field of tomorrow comes back as it went: each answer is a kilobyte, so that few of
    # them fill what lies between.
    ping.device_time.MergeFromString(b"\x7a\x80\x08" + bytes(1024))
    for count in range(MOST_PINGS):
        # Not cancelled: that would end the stream, and what it takes with it.
        writing = asyncio.create_task(stream.write(pb.StreamTelemetryRequest(clock_ping=ping)))
        done, _ = await asyncio.wait({writing}, timeout=STUCK_S)
        if not done:
            opened.push_async_callback(_given_up, writing)
            return count
        writing.result()
    return MOST_PINGS


async def _given_up(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_watchers_who_do_not_read_hold_up_nobody_who_does(stack: WholeStack) -> None:
    found = await _world(stack)
    tokens = await found.writer.sign_in()
    made = recording(1, 1, time.time_ns() // 1_000_000)
    channel = open_channel(stack.target)
    before = sessions.resident_kib(found)
    try:
        async with load_session(channel, tokens.metadata, made) as session:
            asked = activity_service_pb2.WatchActivityRequest(name=session.activity)
            stub = ActivityServiceStub(channel)
            slow = [stub.WatchActivity(asked, metadata=tokens.metadata) for _ in range(SLOW)]
            for each in slow:
                # Until its first word it might not watch at all.
                await asyncio.wait_for(each.read(), LIMIT_S)
            audience = fan_out.Audience(1)
            watching = asyncio.create_task(
                fan_out.by_grpc(found, tokens, session.activity, audience)
            )
            session.listen()
            try:
                await fan_out.seated(audience, [watching])
                tally = await fan_out.beating(session, audience, made, 0.02)(Bounds(6.0, 1_000))
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            grown = _grown(before, sessions.resident_kib(found))
            for each in slow:
                each.cancel()
    finally:
        await channel.close(None)
    late = max(tally.latencies_ms)
    print(
        f"\n{SLOW} watchers who do not read: {tally.units} updates, {late:.0f} ms at most, {grown}"
    )
    assert tally.units >= 100
    assert late < PROMPT_S * 1_000
    assert sum(grown.values()) <= SLOW * DEAF_KIB


# Last: what thousands of streams have taken and given back would hide what few take.
async def test_five_thousand_idle_streams_take_a_bounded_share_each(stack: WholeStack) -> None:
    found = await _world(stack)
    pids = stack.pids()
    before, lost = sessions.resident_kib(found), list[str]()
    description = recording(1, 1, time.time_ns() // 1_000_000).description()
    async with lines.through_the_edge(found, IDLE, lost.append) as opened:
        crowd = sessions.Crowd(opened)
        await sessions.open_all(crowd, description)
        grown = _grown(before, sessions.resident_kib(found))
        # Somebody else is served as ever, and none of the idle ones was lost for it.
        async with asyncio.timeout(LIMIT_S):
            await found.reader.sign_in()
        assert lost == []
    print(f"\n{IDLE} idle streams: KiB for each " + str({k: v / IDLE for k, v in grown.items()}))
    assert all(kib <= IDLE * IDLE_KIB for kib in grown.values()), grown
    assert stack.pids() == pids
    assert stack.is_serving()
