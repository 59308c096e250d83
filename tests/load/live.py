"""Scenarios of a few live sessions: how fast samples are taken in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from palestra_client import open_channel
from tests.load.closed_loop import Bounds
from tests.load.figures import Tally
from tests.load.requests import Load
from tests.load.session import load_session, recording
from tests.load.world import World

SESSIONS = 4


def ingest(batch_samples: int) -> Any:
    """Batches of so many samples from a few sessions, each as fast as it is acknowledged."""

    @asynccontextmanager
    async def ready(world: World) -> AsyncIterator[Load]:
        metadata = (await world.writer.sign_in()).metadata
        start_ms = time.time_ns() // 1_000_000
        made = recording(batch_samples, batch_samples, start_ms)
        async with AsyncExitStack() as opened:
            channels = [open_channel(world.stack.target) for _ in range(SESSIONS)]
            for channel in channels:
                opened.push_async_callback(channel.close, None)
            sessions = [
                await opened.enter_async_context(load_session(channel, metadata, made))
                for channel in channels
            ]
            for session in sessions:
                session.listen()

            async def load(bounds: Bounds) -> Tally:
                share = Bounds(bounds.seconds, bounds.most // SESSIONS)
                tally = Tally()
                for each in await asyncio.gather(
                    *(session.pour(batch_samples, share) for session in sessions)
                ):
                    tally.add(each)
                return tally

            yield load

    return ready
