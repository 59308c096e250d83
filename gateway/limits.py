"""How a limit is told: to the limiter that counts for all edges, and to whoever is limited.

Owns the names and shapes that the edge's configuration and the limiter share, so that the
question itself carries the limit and the limiter needs no configuration. Plain data.
"""

from __future__ import annotations

import math

from gateway.overrides import Limit

DOMAIN = "palestra"
"""Under which the edge asks."""
LIMIT_ENTRY = "limit"
"""The descriptor's entry that says how many: `300/60` is three hundred in a minute."""

LIMIT_HEADER = "x-ratelimit-limit"
"""The calls that the window allows."""
REMAINING_HEADER = "x-ratelimit-remaining"
"""The calls that pass now."""
RESET_HEADER = "x-ratelimit-reset"
"""Whole seconds until one more call passes; 0 where one passes now."""
POLICY_FIELD, STATE_FIELD = "ratelimit-policy", "ratelimit"
"""The same by draft-ietf-httpapi-ratelimit-headers-10."""
COUNTS = (LIMIT_HEADER, REMAINING_HEADER, RESET_HEADER)
HEADERS = (POLICY_FIELD, STATE_FIELD, *COUNTS)


def entry(limit: Limit) -> str:
    """The value of `LIMIT_ENTRY`."""
    return f"{limit.requests}/{limit.window_s}"


def policy(limit: Limit) -> str:
    """The `RateLimit-Policy`: by whom it is counted, the quota, the window in seconds."""
    return f'"{limit.key}";q={limit.requests};w={limit.window_s}'


def spent(limit: Limit) -> str:
    """The `RateLimit` of a refusal: none left, one more after so many seconds at the latest."""
    return f'"{limit.key}";r=0;t={one_more_after_s(limit)}'


def one_more_after_s(limit: Limit) -> int:
    """The longest that a caller waits for one more call, where each edge counts alone."""
    return max(1, math.ceil(limit.window_s / limit.requests))
