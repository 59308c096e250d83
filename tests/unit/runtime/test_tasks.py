"""Tasks end, also those that mistake a cancellation for an error and go on."""

from __future__ import annotations

import asyncio

import pytest

from mesh.runtime import tasks


async def test_a_task_that_swallows_its_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "AGAIN_AFTER_S", 0.02)
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(tasks.end([task]), 2)
    assert task.cancelled()
    assert swallowed == 3


async def test_what_ended_and_what_failed_are_ended_too() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    failed, ended = asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(0))
    await asyncio.sleep(0.01)
    await tasks.end([failed, ended])
    await tasks.end([])
    assert failed.done()
    assert ended.done()
