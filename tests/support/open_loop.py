"""An open loop of REST requests: so many a second, whatever became of the ones before.

Owns the sending and the counting. Never sends anything again: what fails has failed, and
is counted with its status and the instant.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.load.http1 import Connection, NotUnderstood
from tests.support.standstill import Late

MOST_AT_ONCE = 2_048
_BODY_SHOWN = 200
_LATE = 504


@dataclass(slots=True)
class Tally:
    """What became of the requests."""

    sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """By phase, request and status; the late ones are among them."""
    late: list[Late] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    """The first body of each kind of failure."""
    slowest_s: float = 0.0
    by_phase: Counter[str] = field(default_factory=Counter)


class OpenLoop:
    """The client."""

    def __init__(self, port: int, requests: Sequence[tuple[str, bytes]], rate: float) -> None:
        """`requests` are told in turn, each with its name; `rate` is per second."""
        self.tally = Tally()
        self.phase = "before"
        self.ending = False
        self._port, self._requests, self._rate = port, requests, rate
        self._idle: list[Connection] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Sends until `ending`, and waits for the last answers."""
        begun = time.monotonic()
        while not self.ending:
            due = begun + self.tally.sent / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            name, packed = self._requests[self.tally.sent % len(self._requests)]
            self.tally.sent += 1
            self.tally.by_phase[self.phase] += 1
            if len(self._under_way) >= MOST_AT_ONCE:
                self.tally.failures[f"{self.phase}: {name}: too many wait"] += 1
                continue
            task = asyncio.create_task(self._ask(self.phase, name, packed))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        await asyncio.gather(*self._under_way)
        for connection in self._idle:
            connection.close()

    async def _ask(self, phase: str, name: str, packed: bytes) -> None:
        begun = time.monotonic()
        try:
            if self._idle:
                connection = self._idle.pop()
            else:
                connection = await Connection.open("127.0.0.1", self._port)
            answer = await connection.ask(packed)
        except (NotUnderstood, OSError, EOFError, TimeoutError) as error:
            self._failed(f"{phase}: {name}: {type(error).__name__}", str(error))
            return
        self._idle.append(connection)
        self.tally.slowest_s = max(self.tally.slowest_s, time.monotonic() - begun)
        if answer.status != 200:
            words = answer.body[:_BODY_SHOWN].decode(errors="replace")
            kind = f"{phase}: {name}: {answer.status}"
            self._failed(kind, words)
            if answer.status == _LATE:
                self.tally.late.append(Late(kind, begun, time.monotonic()))

    def _failed(self, kind: str, words: str) -> None:
        self.tally.failures[kind] += 1
        self.tally.words.setdefault(kind, words)
