"""What travels in one message to training: at once for few sessions, gathered for many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from mesh.runtime import writing
from palestra.training.v1 import tracker_service_pb2 as pb
from services.integration.telemetry import shards
from services.integration.telemetry.feed import Feed, Listener
from services.integration.telemetry.shards import MANY, Shards, ShardSettings
from tests.support.fake_device import DESCRIPTION, batch

if TYPE_CHECKING:
    from services.integration.telemetry.shards import Stream

PATIENCE_S = 10.0


class _Training:
    """Answers every Open, and keeps each message."""

    def __init__(self) -> None:
        self.messages: list[pb.IngestTelemetryRequest] = []
        self._answers: asyncio.Queue[pb.IngestTelemetryResponse] = asyncio.Queue()
        self._news = asyncio.Condition()

    async def take(self, written: bytes) -> None:
        """What was written to its stream."""
        message = pb.IngestTelemetryRequest.FromString(written)
        opened = [
            pb.SessionResult(
                session=frame.session, epoch=frame.epoch, opened=pb.SessionOpened(resume_from_seq=1)
            )
            for frame in message.frames
            if frame.HasField("open")
        ]
        if opened:
            self._answers.put_nowait(pb.IngestTelemetryResponse(results=opened))
        async with self._news:
            self.messages.append(message)
            self._news.notify_all()

    async def read(self) -> pb.IngestTelemetryResponse:
        return await self._answers.get()

    async def done_writing(self) -> None:
        pass

    def cancel(self) -> None:
        pass

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(holds)

    def batches(self) -> list[int]:
        """How many each message has, of those that have any."""
        counts = [sum(f.HasField("batch") for f in each.frames) for each in self.messages]
        return [count for count in counts if count]


@pytest.fixture(autouse=True)
def _no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would go through gRPC goes straight to the one who keeps it."""
    monkeypatch.setattr(writing, "write", _Training.take)


class _Nobody:
    """Listens to nothing."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_: None


@asynccontextmanager
async def _opened(count: int) -> AsyncIterator[tuple[_Training, list[Feed]]]:
    training = _Training()
    made = Shards(lambda: cast("Stream", training), ShardSettings(shards=1))
    running = asyncio.create_task(made.run())
    nobody = cast("Listener", _Nobody())
    feeds = [made.join(f"users/u/sessions/{each}", 1, DESCRIPTION, nobody) for each in range(count)]
    try:
        await training.until(lambda: sum(len(each.frames) for each in training.messages) == count)
        yield training, feeds
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _one_after_the_other(feeds: list[Feed]) -> None:
    """Each batch has every chance to go out alone."""
    for feed in feeds:
        feed.add(1, batch(1), 100)
        for _ in range(5):
            await asyncio.sleep(0)


async def test_of_few_sessions_each_batch_goes_out_at_once() -> None:
    async with _opened(MANY - 1) as (training, feeds):
        await _one_after_the_other(feeds)
        await training.until(lambda: sum(training.batches()) == len(feeds))
        assert training.batches() == [1] * len(feeds)


async def test_of_many_sessions_batches_gather_and_none_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Long enough for all to come meanwhile, however slow the machine is.
    monkeypatch.setattr(shards, "GATHER_S", 1.0)
    async with _opened(MANY) as (training, feeds):
        await _one_after_the_other(feeds)
        await training.until(lambda: sum(training.batches()) == len(feeds))
        assert len(training.batches()) <= 2
