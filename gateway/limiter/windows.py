"""What a counted window means: may the call pass, how many are left, when is the next.

Pure. The counting is that of the limits library's sliding window counter: the calls of
this window, and those of the one before it weighted by how much of it is still in sight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Two windows of one key, as they stand after the call was counted or refused."""

    previous: int
    previous_ends_s: float
    """Until the previous one is out of sight; 0 where there is none."""
    current: int
    current_ends_s: float
    """Until the current one is out of sight, up to two windows; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for one key."""

    allowed: bool
    limit: int
    remaining: int
    wait_s: float
    """Until one more call passes; 0 where it passes now."""


def verdict(*, allowed: bool, limit: int, window_s: int, window: Window) -> Verdict:
    """What the library's decision means for the next call."""
    weighted = math.floor(window.previous * window.previous_ends_s / window_s) + window.current
    remaining = max(0, limit - weighted)
    if allowed and remaining:
        return Verdict(allowed, limit, remaining, 0.0)
    # A refused call of several hits may leave some over, but not enough of them.
    left = remaining if allowed else 0
    return Verdict(allowed, limit, left, _wait_s(limit, window_s, window))


def _wait_s(limit: int, window_s: int, window: Window) -> float:
    if window.current >= limit:
        # This window has to become the previous one; then its weight falls at once.
        return max(0.0, window.current_ends_s - window_s)
    if not window.previous:
        return 0.0
    # The calls of before have to weigh less than what is free beside those of now.
    falls_to_s = (limit - window.current) * window_s / window.previous
    return max(0.0, window.previous_ends_s - falls_to_s)
