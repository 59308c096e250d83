"""Sleeps until letters are asked for: LISTEN on a connection of its own, a poll behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import structlog

CHANNEL = "identity_letters"
_log = structlog.get_logger(__name__)


class Waking:
    """Runs something at the start, at each notice, and after `poll_s` without one."""

    def __init__(self, url: str, poll_s: float = 2.0) -> None:
        self._url = url
        self._poll_s = poll_s

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled; a connection that breaks is made anew."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, application_name="letters"
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    while True:
                        await work()
                        async for _ in connection.notifies(timeout=self._poll_s, stop_after=1):
                            pass
            except psycopg.OperationalError as error:
                _log.warning("letters_unheard", error=type(error).__name__)
            await asyncio.sleep(self._poll_s)
