"""What a stream holds and how it acknowledges, when somebody is slow or breaks."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.training.v1 import tracker_service_pb2 as tracker
from services.integration.telemetry import flow as telemetry_flow
from services.integration.telemetry import rules
from services.integration.telemetry.rules import Limits
from tests.support.fake_device import batch
from tests.support.made_tokens import Signer
from tests.system.integration.line import LineUnderTest, line_under_test
from tests.system.integration.watch import Watch


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
        # On the side: who is not read on is held up in the middle of it.
        pouring = [asyncio.create_task(_pour(watch)) for watch in watches]
        await asyncio.sleep(0.3)
        # Each may end its round, and one that holds nothing takes one.
        assert line.shards.held_bytes <= (6 + 3) * size
        line.training.gate.set()
        await asyncio.gather(*pouring, *(watch.acknowledged(20) for watch in watches))


async def _pour(watch: Watch) -> None:
    for seq in range(1, 21):
        await watch.say(batch=batch(seq, samples=1000))


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
