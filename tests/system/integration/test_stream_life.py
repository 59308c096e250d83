"""How a device's stream ends: fenced, renewed, expired, drained, silent, gone."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from mesh.runtime import calls
from mesh.runtime.ids import user_id
from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.training.v1 import tracker_service_pb2 as tracker
from services.integration.telemetry import flow as telemetry_flow
from tests.support.fake_device import DESCRIPTION, opening
from tests.support.made_tokens import Signer
from tests.system.integration.line import LineUnderTest, line_under_test
from tests.system.integration.watch import SCOPES, Watch


async def test_a_newer_stream_here_ends_the_older_one_at_once(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    await watch.send(1)
    await watch.acknowledged(1)
    line.training.gate.clear()
    newer = watch.again()
    await newer.stream.write(opening(watch.id, 2))
    # Though training has not answered yet.
    assert (await watch.rejected())[:2] == (0, "SESSION_ENDED")
    assert await watch.ends() == ""
    line.training.gate.set()
    assert (await newer.hear("accepted")).accepted.resume_from_seq == 2
    await newer.send(2)
    await newer.acknowledged(2)


async def test_a_late_older_opening_is_fenced_and_the_newer_lives_on(watch: Watch) -> None:
    await watch.open(2)
    older = watch.again()
    await older.stream.write(opening(watch.id, 1))
    assert (await older.rejected())[:2] == (0, "SESSION_FENCED")
    assert await older.ends() == ""
    await watch.send(1)
    await watch.acknowledged(1)


async def test_a_stream_elsewhere_fences_this_one(line: LineUnderTest, watch: Watch) -> None:
    await watch.open()
    elsewhere = tracker.SessionFrame(session=watch.session, epoch=5, open=DESCRIPTION)
    line.ledger.apply(elsewhere)
    await watch.send(1)
    assert await watch.rejected() == (1, "SESSION_FENCED", 1)
    assert await watch.ends() == ""


async def test_the_same_opening_twice_goes_on_with_the_second_stream(watch: Watch) -> None:
    await watch.open()
    await watch.send(1)
    await watch.acknowledged(1)
    second = watch.again()
    assert (await second.open(1)).resume_from_seq == 2
    assert (await watch.rejected())[:2] == (0, "SESSION_ENDED")
    await second.send(2)
    await second.acknowledged(2)


async def test_pings_are_answered_and_what_they_measured_reaches_training(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    ping = pb.ClockPing(offset_ms=-7, round_trip_ms=30)
    ping.device_time.FromSeconds(1_234)
    await watch.say(clock_ping=ping)
    pong = (await watch.hear("clock_pong")).clock_pong
    assert pong.device_time == ping.device_time
    assert pong.receive_time.ToNanoseconds() <= pong.send_time.ToNanoseconds()
    await watch.say(clock_ping=pb.ClockPing(offset_ms=1 << 60, round_trip_ms=1))
    await watch.hear("clock_pong")
    await watch.send(1)
    await watch.acknowledged(1)
    assert line.ledger.clocks[watch.session] == (-7, 30)


async def test_a_stream_lives_as_long_as_its_renewed_token(
    line: LineUnderTest, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "AFTER_EXPIRY_S", 0.5)
    watch = Watch(line, signer, lives_s=2)
    await watch.open()
    await watch.say(renew=pb.Renew(access_token=signer.token(watch.user, SCOPES)))
    await asyncio.sleep(2.8)
    await watch.lives()


async def test_a_stream_ends_resumably_after_its_token(
    line: LineUnderTest, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "AFTER_EXPIRY_S", 0.2)
    watch = Watch(line, signer, lives_s=1)
    await watch.open()
    await watch.send(1)
    await watch.acknowledged(1)
    assert await watch.ends() == "TOKEN_EXPIRED"
    other = Watch(line, signer, user=watch.user)
    other.id, other.session = watch.id, watch.session
    assert (await other.open(2)).resume_from_seq == 2


async def test_a_token_that_does_not_fit_is_refused_and_the_stream_lives_on(
    watch: Watch, signer: Signer
) -> None:
    await watch.open()
    tokens = {
        "TOKEN_OF_ANOTHER": signer.token(user_id(0), SCOPES),
        "SCOPE_MISSING": signer.token(watch.user, ["devices.read"]),
        "TOKEN_EXPIRED": signer.token(watch.user, SCOPES, lifetime_s=-10),
        "TOKEN_INVALID": Signer("test").token(watch.user, SCOPES),
    }
    for reason, token in tokens.items():
        await watch.say(renew=pb.Renew(access_token=token))
        told = (await watch.hear("reject")).reject
        assert (told.seq, told.reason) == (0, reason)
        await watch.lives()


async def test_a_draining_process_sends_its_devices_elsewhere_at_once(
    line: LineUnderTest, watch: Watch, signer: Signer
) -> None:
    await watch.open()
    await watch.send(1)
    await watch.acknowledged(1)
    unopened = Watch(line, signer)
    await unopened.send(1)
    await unopened.rejected()
    draining = asyncio.create_task(line.server.server.drain(0.2, 5))
    started = time.monotonic()
    await watch.lives()
    assert await watch.ends() == "UNAVAILABLE"
    assert await unopened.ends() == "UNAVAILABLE"
    assert 0.15 < time.monotonic() - started < 2
    await draining
    assert time.monotonic() - started < 2, "the drain waited for streams that had ended"


async def test_a_silent_device_is_given_up(folder: Path, signer: Signer) -> None:
    async with line_under_test(folder, signer, idle_s=0.6) as line:
        watch = Watch(line, signer)
        await watch.open()
        for _ in range(3):
            await asyncio.sleep(0.3)
            await watch.lives()
        assert await watch.ends() == "DEADLINE_EXCEEDED"


async def test_a_stream_that_opens_nothing_is_given_up(
    line: LineUnderTest, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry_flow, "OPEN_WITHIN_S", 0.2)
    assert await Watch(line, signer).ends() == "OPEN_MISSING"
    half = Watch(line, signer)
    await half.stream.done_writing()
    assert await half.ends() == "OPEN_MISSING"


async def test_who_says_no_more_still_hears_what_became_durable(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    line.training.gate.clear()
    await watch.send(1, 2)
    await watch.stream.done_writing()
    await asyncio.sleep(0.1)
    line.training.gate.set()
    await watch.acknowledged(2)
    assert await watch.ends() == ""


async def test_a_device_that_vanishes_leaves_nothing_behind(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    line.training.gate.clear()
    await watch.send(1, 2, 3)
    await watch.lives()
    watch.stream.cancel()
    for _ in range(100):
        if not line.flow.streams:
            break
        await asyncio.sleep(0.02)
    assert not line.flow.live
    assert line.shards.held_bytes == 0
    assert line.shards.sessions == 0
