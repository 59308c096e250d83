"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_AFTER_S = 0.5


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks, and returns when all have ended.

    Once is not enough: psycopg, cancelled while its connection dies, raises the connection's
    error and not the cancellation, and what lives on after errors would live on for ever.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=AGAIN_AFTER_S)
        for task in done:
            # Looked at, so that nobody complains of an error that was not.
            if not task.cancelled():
                task.exception()
