"""Workouts that end together leave the loop its time, and one that fails holds nobody up."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest

from services.training.tracker import finishing
from services.training.tracker.flow import PAUSES, TrackerFlow

TAKES_S = 0.01
ENDED: Any = None


def flow() -> TrackerFlow:
    """Only its turns are asked for."""
    nothing: Any = None
    return TrackerFlow(nothing, nothing, nothing, nothing)


async def test_between_two_ends_others_have_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[tuple[float, float]] = []

    def busy(_ended: object) -> Any:
        begun = time.monotonic()
        while time.monotonic() - begun < TAKES_S:
            pass
        spans.append((begun, time.monotonic()))

    monkeypatch.setattr(finishing, "finish", busy)
    under_test, ended = flow(), ENDED
    await asyncio.gather(*(under_test._in_the_loop(ended) for _ in range(4)))
    assert len(spans) == 4
    for (begun, over), (following, _) in pairwise(spans):
        assert following - over >= PAUSES * (over - begun) * 0.9


async def test_one_end_alone_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "finish", lambda _ended: time.sleep(0.2))
    begun = time.monotonic()
    await flow()._in_the_loop(ENDED)
    assert time.monotonic() - begun < 0.2 * PAUSES


async def test_an_end_that_fails_gives_its_turn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_ended: object) -> Any:
        raise RuntimeError("damaged")

    monkeypatch.setattr(finishing, "finish", failing)
    under_test = flow()
    for _ in range(3):
        with pytest.raises(RuntimeError, match="damaged"):
            async with asyncio.timeout(5):
                await under_test._in_the_loop(ENDED)
