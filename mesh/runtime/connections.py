"""A pool's connections, the last used first.

The pool makes them, mends them and bounds how many there are, and gives them out in turn.
Between two calls they stay here instead: the pool's books cost half as much as
asking does, and the backend that answered last has its plans and pages at hand.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from mesh.runtime.asking import Connection

KEPT_S: Final = 30.0
"""For so long at most the pool does not see a connection: it has a lifetime to look after."""


class Connections:
    """What whoever asks takes a connection from, and gives it back to."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool
        self._spare: deque[Connection] = deque()
        self._since: dict[Connection, float] = {}
        self._waiting = 0
        self._closed = False

    async def take(self) -> Connection:
        """One that nobody else has.

        Raises:
            psycopg_pool.PoolTimeout: there was none in time.
        """
        if self._spare:
            return self._spare.pop()
        task = asyncio.current_task()
        given_up = task.cancelling() if task else 0
        self._waiting += 1
        try:
            connection = await self._pool.getconn()
        finally:
            self._waiting -= 1
        self._since[connection] = time.monotonic()
        if task and task.cancelling() > given_up:
            # The pool waits by `asyncio.wait_for`, and until Python 3.12 that forgets who gives
            # up at the instant at which what he waits for comes.
            await self.give(connection)
            raise asyncio.CancelledError
        return connection

    async def give(self, connection: Connection) -> None:
        """Back, whatever became of it."""
        since_s = time.monotonic() - KEPT_S
        status = connection.pgconn.transaction_status
        # The pool sees to who waits there, and to what is broken or in the middle of something.
        if (
            not self._closed
            and self._waiting == 0
            and status == TransactionStatus.IDLE
            and self._since[connection] > since_s
        ):
            self._spare.append(connection)
            if self._since[self._spare[0]] > since_s:
                return
            connection = self._spare.popleft()
        await self._return(connection)
        if status == TransactionStatus.UNKNOWN:
            # One broke: those that waited beside it may have as well, and nobody shall find out.
            for each in self._spare:
                each.break_off()
            await self._return_all()

    async def _return(self, connection: Connection) -> None:
        del self._since[connection]
        connection.unwatch()
        # Whoever asked may have given up: the pool must not count it as taken for ever.
        await asyncio.shield(self._pool.putconn(connection))

    async def _return_all(self) -> None:
        while self._spare:
            await self._return(self._spare.pop())

    async def close(self) -> None:
        """Gives the pool what is here, and at once what comes later."""
        self._closed = True
        await self._return_all()
