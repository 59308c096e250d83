"""How long to wait before the next try.

Exponential back-off with full jitter, bounded. Sleeps nowhere itself.
"""

from __future__ import annotations

import random

FIRST_S = 0.2
LONGEST_S = 4.0


def backoff_s(failures: int, rng: random.Random) -> float:
    """How long to wait after so many failures in a row, in s."""
    return rng.uniform(0, min(LONGEST_S, FIRST_S * 2.0 ** min(failures, 16)))
