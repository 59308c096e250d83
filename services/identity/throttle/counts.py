"""The counts of all processes, in Redis; those of this process alone where it does not answer.

Owns the keys `identity:throttle:*`: keyed hashes, so that nobody reads an address in them.
One script, one round trip, one small hash for each key, whatever was tried how often.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog

from services.identity.throttle import rules
from services.identity.throttle.rules import Count, Policy, Verdict

PREFIX = "identity:throttle"
PATIENCE_S = 1.0
"""For Redis to answer; then this process counts alone."""
AGAIN_S = 5.0
"""So long after it was away nobody waits for it."""
MOST_ALONE = 20_000
_log = structlog.get_logger(__name__)
_OPERATIONS = {
    "failed": rules.failed,
    "succeeded": rules.succeeded,
    "abandoned": rules.abandoned,
}
# `rules`, as one change that no other process comes between. A process's clock is passed in:
# two differ by less than the shortest wait.
SCRIPT = """
local key, op, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local free, first, longest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local memory, hold = ARGV[6], tonumber(ARGV[7])
local kept = redis.call('HMGET', key, 'f', 't', 'h', 'n')
local f, t = tonumber(kept[1]) or 0, tonumber(kept[2]) or 0
local h, n = tonumber(kept[3]) or 0, tonumber(kept[4]) or 0
local function wait()
    if f < free then return 0 end
    return math.floor(math.min(first * 2 ^ math.min(f - free, 30), longest) + 0.5)
end
if t > 0 and now >= h then f, t = f + t, 0; n = h + wait(); h = 0 end
if op == 'begin' or op == 'look' then
    if n > now then return {1, n - now, f} end
    if op == 'look' then return {0, 0, f} end
    if t > 0 and f + t >= free then return {2, 0, f} end
    t, h = t + 1, now + hold
else
    t = math.max(0, t - 1)
    if op == 'failed' then f = f + 1; n = now + wait()
    elseif op == 'succeeded' then f, n = 0, 0 end
end
if f == 0 and t == 0 then redis.call('DEL', key)
else
    redis.call('HSET', key, 'f', f, 't', t, 'h', h, 'n', n)
    redis.call('PEXPIRE', key, memory)
end
return {0, 0, f}
"""


class Counts:
    """Counts tries by key; always answers."""

    def __init__(self, store: Any, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`store` is Redis."""
        self._store = store
        self._monotonic = monotonic
        self._away_until = 0.0
        self._alone: OrderedDict[str, Count] = OrderedDict()

    async def change(
        self, key: str, operation: str, policy: Policy, now_ms: int
    ) -> tuple[Verdict, int, int]:
        """Verdict, ms to wait, failures so far.

        `begin` holds a place for a try, `look` none; `failed`, `succeeded` or `abandoned` give
        it back.
        """
        if self._monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    verdict, wait_ms, failures = await self._store.eval(
                        SCRIPT, 1, f"{PREFIX}:{key}", operation, now_ms, *_numbers(policy)
                    )
                return Verdict(int(verdict)), int(wait_ms), int(failures)
            except Exception as error:
                self._away(error)
        return self._count_alone(key, operation, policy.stricter(), now_ms)

    async def forget(self, key: str) -> None:
        """Forgives what was counted by a key."""
        self._alone.pop(key, None)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._store.delete(f"{PREFIX}:{key}")
        except Exception as error:
            self._away(error)

    def _away(self, error: Exception) -> None:
        self._away_until = self._monotonic() + AGAIN_S
        _log.warning("throttle_counts_alone", error=type(error).__name__)

    def _count_alone(
        self, key: str, operation: str, policy: Policy, now_ms: int
    ) -> tuple[Verdict, int, int]:
        """In memory, and stricter: what others count meanwhile is not known here."""
        name = f"{policy.name}:{key}"
        count, verdict, wait_ms = self._alone.pop(name, Count()), Verdict.GO, 0
        if operation in ("begin", "look"):
            begun, verdict, wait_ms = rules.begin(count, policy, now_ms)
            count = begun if operation == "begin" else count
        else:
            count = _OPERATIONS[operation](count, policy, now_ms)
        if not count.is_empty:
            self._alone[name] = count
        if len(self._alone) > MOST_ALONE:
            self._alone.popitem(last=False)
        return verdict, wait_ms, count.failures


def _numbers(policy: Policy) -> tuple[int, ...]:
    return (
        policy.free,
        round(policy.first_s * 1000),
        round(policy.longest_s * 1000),
        round(policy.memory_s * 1000),
        round(rules.HOLD_S * 1000),
    )
