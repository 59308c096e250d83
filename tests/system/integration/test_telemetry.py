"""One device's stream through the gate: every refusal, renewal, fence, silence and end."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from mesh.runtime import calls
from mesh.runtime.ids import user_id
from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.integration.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from palestra.training.v1 import tracker_service_pb2 as tracker
from services.integration.telemetry import flow as telemetry_flow
from services.integration.telemetry import rules
from services.integration.telemetry.rules import Limits
from tests.support.fake_device import DESCRIPTION, batch, opening
from tests.support.fake_training import activity_of
from tests.support.grpc_errors import reason_of
from tests.support.made_tokens import Signer
from tests.support.served import as_edge
from tests.system.integration.line import LineUnderTest, line_under_test

if TYPE_CHECKING:
    from grpc.aio import StreamStreamCall

    Stream = StreamStreamCall[pb.StreamTelemetryRequest, pb.StreamTelemetryResponse]

SCOPES = ("telemetry.write",)
SOON_S = 5.0


class Watch:
    """A device that says what the test tells it to."""

    def __init__(
        self,
        line: LineUnderTest,
        signer: Signer,
        *,
        lives_s: int = 900,
        user: uuid.UUID | None = None,
        channel: grpc.aio.Channel | None = None,
    ) -> None:
        self.user = user or user_id(0)
        self.id = str(uuid.uuid4())
        self.session = f"users/{self.user}/sessions/{self.id}"
        self._metadata = as_edge(signer.token(self.user, SCOPES, lifetime_s=lives_s))
        self._stub = TelemetryServiceStub(channel or line.channel)
        self.stream: Stream = self._stub.StreamTelemetry(None, metadata=self._metadata)

    def again(self) -> Watch:
        """The same session on another stream."""
        other = object.__new__(Watch)
        other.__dict__.update(self.__dict__)
        other.stream = self._stub.StreamTelemetry(None, metadata=self._metadata)
        return other

    async def say(self, **message: Any) -> None:
        await self.stream.write(pb.StreamTelemetryRequest(**message))

    async def send(self, *seqs: int) -> None:
        for seq in seqs:
            await self.say(batch=batch(seq))

    async def open(self, epoch: int = 1) -> pb.Accepted:
        await self.stream.write(opening(self.id, epoch))
        return (await self.hear("accepted")).accepted

    async def hear(self, kind: str) -> pb.StreamTelemetryResponse:
        """The next answer, which must be of a kind."""
        answer = await self.heard()
        assert answer.WhichOneof("message") == kind, answer
        return answer

    async def heard(self) -> pb.StreamTelemetryResponse:
        """The next answer."""
        answer = await asyncio.wait_for(self.stream.read(), SOON_S)
        assert isinstance(answer, pb.StreamTelemetryResponse), "the stream ended"
        return answer

    async def rejected(self) -> tuple[int, str, int]:
        told = (await self.hear("reject")).reject
        assert told.detail
        return told.seq, told.reason, told.resume_from_seq

    async def acknowledged(self, seq: int) -> None:
        """Hears acknowledgements up to one."""
        last = 0
        while last < seq:
            last = (await self.hear("ack")).ack.seq
        assert last == seq

    async def ends(self) -> str:
        """The reason with which the stream ends; empty where it ends well."""
        try:
            answer = await asyncio.wait_for(self.stream.read(), SOON_S)
        except grpc.aio.AioRpcError as error:
            return reason_of(error)
        assert not isinstance(answer, pb.StreamTelemetryResponse), answer
        return ""

    async def lives(self) -> None:
        """The stream answers."""
        await self.say(clock_ping=pb.ClockPing())
        await self.hear("clock_pong")


@pytest.fixture
async def line(folder: Path, signer: Signer) -> AsyncIterator[LineUnderTest]:
    async with line_under_test(folder, signer, limits=Limits(window=8)) as started:
        yield started


@pytest.fixture
async def watch(line: LineUnderTest, signer: Signer) -> Watch:
    return Watch(line, signer)


async def test_a_session_is_taken_acknowledged_and_closed(
    line: LineUnderTest, watch: Watch
) -> None:
    accepted = await watch.open()
    assert (accepted.resume_from_seq, accepted.window) == (1, 8)
    assert accepted.max_batch_samples == 3600
    assert accepted.activity == activity_of(watch.session)
    assert 0 < accepted.expire_time.seconds - time.time() <= 900
    await watch.send(1, 2, 3)
    await watch.acknowledged(3)
    await watch.say(close=pb.Close(last_seq=3))
    assert (await watch.hear("closed")).closed.activity == activity_of(watch.session)
    assert await watch.ends() == ""
    assert line.ledger.batches[watch.session] == [batch(n).SerializeToString() for n in (1, 2, 3)]


async def test_nothing_is_acknowledged_before_training_has_it(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    line.training.gate.clear()
    await watch.send(1, 2)
    await watch.lives()
    assert line.ledger.last_seq(watch.session) == 0
    line.training.gate.set()
    await watch.acknowledged(2)


async def test_what_comes_before_open_is_refused_by_number_and_the_stream_lives_on(
    watch: Watch,
) -> None:
    await watch.send(7)
    assert await watch.rejected() == (7, "OPEN_MISSING", 0)
    await watch.say(clock_ping=pb.ClockPing())
    assert await watch.rejected() == (0, "OPEN_MISSING", 0)
    await watch.say(close=pb.Close(last_seq=7))
    assert await watch.rejected() == (0, "OPEN_MISSING", 0)
    assert (await watch.open()).resume_from_seq == 1


async def test_a_batch_before_accepted_is_refused(line: LineUnderTest, watch: Watch) -> None:
    line.training.gate.clear()
    await watch.stream.write(opening(watch.id, 1))
    await watch.send(1)
    assert (await watch.rejected())[:2] == (1, "BATCH_OUT_OF_ORDER")
    line.training.gate.set()
    await watch.hear("accepted")


async def test_a_second_open_is_refused_and_the_session_goes_on(watch: Watch) -> None:
    await watch.open()
    await watch.stream.write(opening(watch.id, 2))
    assert await watch.rejected() == (0, "OPEN_MISSING", 0)
    await watch.send(1)
    await watch.acknowledged(1)


async def test_an_open_against_the_contract_ends_the_stream(watch: Watch) -> None:
    await watch.say(open=pb.Open(session="no uuid", epoch=1, description=DESCRIPTION))
    assert await watch.ends() == "INVALID_FIELD"


async def test_each_batch_out_of_order_is_refused_by_number(watch: Watch) -> None:
    await watch.open()
    await watch.send(1, 3, 4, 0)
    heard = [await watch.heard() for _ in range(4)]
    told = [each.reject for each in heard if each.HasField("reject")]
    reasons = [(each.seq, each.reason, each.resume_from_seq) for each in told]
    assert reasons == [(seq, "BATCH_OUT_OF_ORDER", 2) for seq in (3, 4, 0)]
    await watch.send(2)
    await watch.acknowledged(2)


async def test_a_durable_batch_that_comes_again_is_acknowledged_again(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    await watch.send(1, 2)
    await watch.acknowledged(2)
    await watch.send(1)
    await watch.acknowledged(2)
    assert line.ledger.repeats == 0


async def test_a_batch_over_the_bound_is_refused_and_its_repair_is_taken(watch: Watch) -> None:
    await watch.open()
    await watch.say(batch=batch(1, samples=3601))
    assert await watch.rejected() == (1, "BATCH_TOO_LARGE", 1)
    await watch.say(batch=batch(1, samples=3600))
    await watch.acknowledged(1)


async def test_a_batch_past_the_window_is_refused_and_nothing_more_is_held(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    line.training.gate.clear()
    await watch.send(*range(1, 12))
    assert (await watch.hear("flow")).flow.window == 8
    for seq in (9, 10, 11):
        assert await watch.rejected() == (seq, "BATCH_OUT_OF_ORDER", 9)
    assert line.shards.held_bytes == sum(batch(seq).ByteSize() for seq in range(1, 9))
    line.training.gate.set()
    await watch.acknowledged(8)
    assert line.shards.held_bytes == 0
    await watch.send(9, 10, 11)
    await watch.acknowledged(11)


async def test_what_training_refuses_by_number_the_device_hears_and_mends(
    line: LineUnderTest, watch: Watch
) -> None:
    refusals = 0

    def refuse(frame: tracker.SessionFrame) -> tracker.SessionReject | None:
        nonlocal refusals
        if frame.batch.seq != 3 or refusals:
            return None
        refusals += 1
        return tracker.SessionReject(
            seq=3, reason="BATCH_MALFORMED", detail="a column is short", resume_from_seq=3
        )

    line.training.refuse = refuse
    await watch.open()
    await watch.send(1, 2, 3, 4, 5)
    while (answer := await watch.heard()).HasField("ack"):
        assert answer.ack.seq <= 2
    told = answer.reject
    assert (told.seq, told.reason, told.resume_from_seq) == (3, "BATCH_MALFORMED", 3)
    await watch.send(3, 4, 5, 6)
    await watch.acknowledged(6)
    stored = line.ledger.batches[watch.session]
    assert stored == [batch(seq).SerializeToString() for seq in range(1, 7)]


async def test_one_sessions_trouble_does_not_hold_up_the_others(
    line: LineUnderTest, signer: Signer
) -> None:
    bad, good = Watch(line, signer), Watch(line, signer)

    def refuse(frame: tracker.SessionFrame) -> tracker.SessionReject | None:
        if frame.session != bad.session or frame.WhichOneof("frame") != "batch":
            return None
        return tracker.SessionReject(
            seq=frame.batch.seq, reason="BATCH_OUT_OF_ORDER", detail="never", resume_from_seq=1
        )

    line.training.refuse = refuse
    await bad.open()
    await good.open()
    await bad.send(1)
    await good.send(1, 2)
    await good.acknowledged(2)
    # Training never takes it: after some tries the device is told to come back later.
    assert await bad.ends() == "UNAVAILABLE"
    await good.lives()


async def test_a_close_before_the_last_batch_is_told_where_to_go_on(watch: Watch) -> None:
    await watch.open()
    await watch.send(1)
    await watch.acknowledged(1)
    await watch.say(close=pb.Close(last_seq=3))
    assert await watch.rejected() == (0, "BATCH_OUT_OF_ORDER", 2)
    await watch.send(2, 3)
    await watch.say(close=pb.Close(last_seq=3))
    await watch.acknowledged(3)
    await watch.hear("closed")


async def test_a_close_that_names_too_few_batches_is_refused_and_may_be_mended(
    watch: Watch,
) -> None:
    await watch.open()
    await watch.send(1, 2)
    await watch.acknowledged(2)
    await watch.say(close=pb.Close(last_seq=1))
    assert (await watch.rejected())[:2] == (0, "BATCH_MALFORMED")
    await watch.say(close=pb.Close(last_seq=2))
    await watch.hear("closed")


async def test_an_empty_session_can_be_closed(watch: Watch) -> None:
    await watch.open()
    await watch.say(close=pb.Close(last_seq=0))
    await watch.hear("closed")


async def test_a_lost_answer_to_a_close_is_given_to_the_next_stream(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    await watch.send(1)
    await watch.acknowledged(1)
    await watch.say(close=pb.Close(last_seq=1))
    await watch.hear("closed")
    second = watch.again()
    assert (await second.open(2)).resume_from_seq == 2
    await second.say(close=pb.Close(last_seq=1))
    await second.hear("closed")
    assert await second.ends() == ""
    third = watch.again()
    await third.open(3)
    await third.send(2)
    assert await third.rejected() == (2, "SESSION_CLOSED", 2)
    assert await third.ends() == ""
    line.ledger.open_tells_where = False
    fourth = watch.again()
    await fourth.stream.write(opening(watch.id, 4))
    await fourth.hear("closed")


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


async def test_a_device_that_does_not_listen_holds_up_nobody_and_little_memory(
    line: LineUnderTest, signer: Signer
) -> None:
    small = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_535))
    async with line.server.channel(*small) as channel:
        deaf, other = Watch(line, signer, channel=channel), Watch(line, signer)
        await deaf.open()
        await other.open()
        sent = 0
        wrong = pb.StreamTelemetryRequest(batch=batch(99, samples=100))
        with suppress(TimeoutError):
            while sent < 20_000:
                await asyncio.wait_for(deaf.stream.write(wrong), 0.5)
                sent += 1
        assert sent < 20_000, "a device may send without end and hear nothing"
        (stream,) = [each for each in line.flow.streams if deaf.id in each._session]
        assert len(stream._answers) == telemetry_flow.MOST_ANSWERS
        await other.send(*range(1, 9))
        await other.acknowledged(8)


async def test_bytes_that_are_not_durable_are_bounded_for_one_and_for_all(
    folder: Path, signer: Signer
) -> None:
    size = batch(1, samples=1000).ByteSize()
    limits = Limits(window=64, window_bytes=4 * size)
    async with line_under_test(folder, signer, limits=limits, held_bytes=6 * size) as line:
        watches = [Watch(line, signer) for _ in range(3)]
        for watch in watches:
            await watch.open()
        line.training.gate.clear()
        for watch in watches:
            for seq in range(1, 21):
                await watch.say(batch=batch(seq, samples=1000))
        await asyncio.sleep(0.3)
        # Each may end its round, and one that holds nothing takes one.
        assert line.shards.held_bytes <= (6 + 3) * size
        line.training.gate.set()
        await asyncio.gather(*(watch.acknowledged(20) for watch in watches))


async def test_acknowledgements_gather_while_batches_are_under_way(
    folder: Path, signer: Signer
) -> None:
    async with line_under_test(folder, signer) as line:
        watch = Watch(line, signer)
        await watch.open()
        answers = 0
        last = 0
        line.training.gate.clear()
        await watch.send(*range(1, 61))
        line.training.gate.set()
        while last < 60:
            last = (await watch.hear("ack")).ack.seq
            answers += 1
        assert answers <= 60 / rules.ACK_EVERY + 1


async def test_what_stays_under_way_delays_no_acknowledgement_for_long(
    line: LineUnderTest, watch: Watch
) -> None:
    def only_the_first(frame: tracker.SessionFrame) -> None:
        if frame.batch.seq == 1:
            line.training.gate.clear()

    line.training.refuse = only_the_first
    await watch.open()
    line.training.gate.clear()
    await watch.send(1)
    while line.training.messages < 2:
        await asyncio.sleep(0.01)
    await watch.send(2)
    await watch.lives()
    line.training.gate.set()
    started = time.monotonic()
    await watch.acknowledged(1)
    assert rules.ACK_WITHIN_S - 0.1 < time.monotonic() - started < rules.ACK_WITHIN_S + 1
    line.training.gate.set()
    await watch.acknowledged(2)


async def test_a_broken_stream_to_training_is_unseen_by_the_device(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    line.training.gate.clear()
    await watch.send(1, 2, 3)
    await watch.lives()
    await line.training.die()
    line.training.gate.set()
    await watch.send(4)
    await watch.lives()
    await line.training.start()
    await watch.acknowledged(4)
    await line.training.die()
    await line.training.start()
    await watch.say(close=pb.Close(last_seq=4))
    await watch.hear("closed")


async def test_a_store_that_lost_what_was_acknowledged_is_never_papered_over(
    line: LineUnderTest, watch: Watch
) -> None:
    await watch.open()
    await watch.send(1, 2)
    await watch.acknowledged(2)
    await line.training.die()
    line.ledger.rows.clear()
    line.ledger.batches.clear()
    await line.training.start()
    await watch.send(3)
    assert await watch.ends() == "UNAVAILABLE"
    assert (await watch.again().open(2)).resume_from_seq == 1
