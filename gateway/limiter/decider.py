"""Whether a call may pass: what was refused a moment ago, then Redis, then this process alone.

Owns the order of the three and the count of outcomes. Always answers, quickly.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from prometheus_client import Counter

from gateway.limiter.alone import OwnWindows
from gateway.limiter.asked import Asked
from gateway.limiter.windows import Verdict
from mesh.observability import schema

MOST_REFUSED = 20_000
DECISIONS = Counter(
    schema.LIMIT_DECISIONS, "Calls counted, by where and outcome.", ("by", "outcome")
)
_COUNTED = {
    (by, allowed): DECISIONS.labels(by, "passed" if allowed else "refused")
    for by in ("redis", "alone", "remembered")
    for allowed in (True, False)
}


class Shared(Protocol):
    """Counts that others count too; None where it cannot say now."""

    async def count(self, asked: Asked) -> Verdict | None:
        """Counts a call, or refuses it and counts nothing."""


class Decider:
    """Decides on calls one by one."""

    def __init__(
        self,
        shared: Shared,
        alone: OwnWindows | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`shared` is asked first, `alone` where it cannot say."""
        self._shared, self._clock = shared, clock
        self._alone = OwnWindows() if alone is None else alone
        self._refused: OrderedDict[tuple[str, int, int], float] = OrderedDict()

    async def decide(self, asked: Sequence[Asked]) -> list[Verdict]:
        """The outcome for each, in order; none is counted after one was refused."""
        found: list[Verdict] = []
        for each in asked:
            found.append(await self._one(each))
            if not found[-1].allowed:
                break
        return found

    async def _one(self, asked: Asked) -> Verdict:
        name = (asked.key, asked.item.amount, asked.item.get_expiry())
        if asked.hits == 1 and (remembered := self._remembered(name)) is not None:
            _COUNTED["remembered", False].inc()
            return remembered
        found, by = await self._shared.count(asked), "redis"
        if found is None:
            found, by = self._alone.count(asked), "alone"
        elif not found.allowed:
            self._remember(name, found.wait_s)
        _COUNTED[by, found.allowed].inc()
        return found

    def _remembered(self, name: tuple[str, int, int]) -> Verdict | None:
        """Refused calls are not counted: until the wait is over nothing can change."""
        until = self._refused.get(name)
        if until is None:
            return None
        left = until - self._clock()
        if left <= 0:
            del self._refused[name]
            return None
        return Verdict(allowed=False, limit=name[1], remaining=0, wait_s=left)

    def _remember(self, name: tuple[str, int, int], wait_s: float) -> None:
        self._refused[name] = self._clock() + wait_s
        if len(self._refused) > MOST_REFUSED:
            self._refused.popitem(last=False)
