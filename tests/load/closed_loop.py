"""Callers that call again as soon as they are answered, for a while or so many times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.load.figures import Tally

Call = Callable[[], Awaitable[bool]]
"""One request; whether it was answered as it should be."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a load ends, whichever comes first."""

    seconds: float
    most: int
    """Requests, batches or updates of all callers together."""


async def closed_loop(callers: Sequence[Call], bounds: Bounds) -> Tally:
    """What all callers counted."""
    tally = Tally()
    left = bounds.most
    until = time.perf_counter() + bounds.seconds

    async def go(call: Call) -> None:
        nonlocal left
        while left > 0 and (begun := time.perf_counter()) < until:
            left -= 1
            if await call():
                tally.units += 1
                tally.latencies_ms.append((time.perf_counter() - begun) * 1000)
            else:
                tally.failed += 1

    async with asyncio.TaskGroup() as group:
        for call in callers:
            group.create_task(go(call))
    return tally
