"""One device's stream through the gate: what is taken, acknowledged, refused and closed."""

from __future__ import annotations

import time

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.training.v1 import tracker_service_pb2 as tracker
from tests.support.fake_device import DESCRIPTION, batch, opening
from tests.support.fake_training import activity_of
from tests.support.made_tokens import Signer
from tests.system.integration.line import LineUnderTest
from tests.system.integration.watch import Watch


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
