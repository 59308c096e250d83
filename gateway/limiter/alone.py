"""The counts of this process alone, for while Redis is not there.

Owns one number per key in memory, in fixed windows, for so many keys and no more: the one
longest unseen is forgotten. A brute force is not let loose because a store is away; that
each limiter counts by itself then lets through at most as many times the limit as there
are limiters.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.limiter.asked import Asked
from gateway.limiter.windows import Verdict

MOST_KEYS = 20_000


class OwnWindows:
    """Counts in memory."""

    def __init__(
        self, most_keys: int = MOST_KEYS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds."""
        self._most_keys, self._clock = most_keys, clock
        self._counts: OrderedDict[tuple[str, int, int], tuple[float, int]] = OrderedDict()
        # When the window ends, and the calls in it.

    def __len__(self) -> int:
        """The keys that are counted."""
        return len(self._counts)

    def count(self, asked: Asked) -> Verdict:
        """Counts a call, or refuses it and counts nothing."""
        limit, window_s, now = asked.item.amount, asked.item.get_expiry(), self._clock()
        name = (asked.key, limit, window_s)
        ends, seen = self._counts.pop(name, (0.0, 0))
        if ends <= now:
            ends, seen = now + window_s, 0
        allowed = seen + asked.hits <= limit
        if allowed:
            seen += asked.hits
        self._counts[name] = (ends, seen)
        if len(self._counts) > self._most_keys:
            self._counts.popitem(last=False)
        remaining = limit - seen if allowed else 0
        return Verdict(allowed, limit, remaining, 0.0 if remaining else ends - now)
