"""Fifty sessions stream while training dies again and again: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.runtime.ids import user_id
from tests.support.fake_device import Device
from tests.support.made_tokens import Signer
from tests.support.served import as_edge
from tests.system.integration.line import LineUnderTest, line_under_test

SESSIONS = 50
BATCHES = 120
DEATHS = 12
SEED = random.randrange(1 << 32)


@pytest.fixture
async def line(folder: Path, signer: Signer) -> AsyncIterator[LineUnderTest]:
    async with line_under_test(folder, signer, age_s=0.7) as started:
        yield started


def devices(line: LineUnderTest, signer: Signer) -> list[Device]:
    made = []
    for _ in range(SESSIONS):
        user = user_id(0)
        metadata = as_edge(signer.token(user, ["telemetry.write"]))
        made.append(
            Device(lambda: line.channel, metadata, f"users/{user}", BATCHES, line.ledger.last_seq)
        )
    return made


def assert_whole(line: LineUnderTest, sent: list[Device]) -> None:
    for device in sent:
        stored = line.ledger.batches[device.session]
        assert stored == [each.SerializeToString() for each in device.batches]
        assert line.ledger.rows[device.session].closed
        assert device.closed.endswith(device.id)


async def test_sessions_survive_every_death_of_training_whole(
    line: LineUnderTest, signer: Signer
) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    line.training.slow_s = 0.02
    sent = devices(line, signer)
    for device in sent:
        device.pause_s = 0.06
    running = asyncio.gather(*(device.run() for device in sent))
    for _ in range(DEATHS):
        await asyncio.sleep(rng.uniform(0.02, 0.4))
        await line.training.die()
        await asyncio.sleep(rng.uniform(0, 0.15))
        await line.training.start()
    await asyncio.wait_for(running, 60)
    assert_whole(line, sent)
    assert line.training.streams > DEATHS
    # Training's deaths are not the devices' business: none had to open again.
    assert {device.epoch for device in sent} == {1}


async def test_streams_that_turn_over_for_age_send_hardly_anything_twice(
    line: LineUnderTest, signer: Signer
) -> None:
    line.training.slow_s = 0.005
    sent = devices(line, signer)
    for device in sent:
        device.pause_s = 0.05
    await asyncio.wait_for(asyncio.gather(*(device.run() for device in sent)), 60)
    assert_whole(line, sent)
    assert line.training.streams > 4, "no stream was opened anew"
    assert line.ledger.repeats == 0
    assert line.ledger.misordered == 0
    assert line.training.most_frames > 1, "sessions did not travel together"
