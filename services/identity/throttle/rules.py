"""The rules of slowing down: who is counted together, from when on, how long.

Decides for one count at a time; `counts` keeps them in Redis by the same rules, said in Lua.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

HOLD_S = 10.0
"""A try whose process was killed counts as failed after so long."""


class SignInThrottled(Exception):
    """Too many tries failed: the next is taken later. Alike whether or not there is an account."""

    reason: ClassVar[str] = "SIGN_IN_THROTTLED"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Policy:
    """From when on and how much tries are slowed down."""

    name: str
    free: int
    """Failures that cost nothing; after them one at a time is tried."""
    first_s: float
    """The wait after the last free one; it doubles with each that follows."""
    longest_s: float
    memory_s: float
    """So long after the last try all is forgotten."""
    told_at: int = 0
    """The failure at which the person is written to; 0 for none."""

    def wait_s(self, failures: int) -> float:
        """How long nothing is tried after so many failures in a row."""
        if failures < self.free:
            return 0.0
        # Beyond 30 doublings every policy is at its longest.
        doubled = self.first_s * 2.0 ** min(failures - self.free, 30)
        return float(min(doubled, self.longest_s))

    def stricter(self) -> Policy:
        """The same where each process counts alone."""
        fewer = max(1, self.free // 2)
        return Policy(self.name, fewer, self.first_s, self.longest_s, self.memory_s, self.told_at)


ACCOUNT = Policy("account", 5, 1.0, 3600.0, 86_400.0, told_at=15)
"""By the address that is tried, of an account or of none: some 40 guesses in the first day."""
DEVICE = Policy("device", 5, 1.0, 3600.0, 86_400.0)
"""By a device that signed in before, apart from all others."""
NETWORK = Policy("network", 50, 1.0, 300.0, 3600.0)
"""By the network address; of IPv6 the /64."""


class Verdict(IntEnum):
    """Whether a try may be made."""

    GO = 0
    LATER = 1
    """Not before the wait is over."""
    WAIT = 2
    """Others are being tried, whose outcome decides."""


@dataclass(frozen=True, slots=True)
class Count:
    """What is known of the tries that are counted together. Times in ms since 1970."""

    failures: int = 0
    trying: int = 0
    held_until_ms: int = 0
    """After this what is still being tried has failed."""
    not_before_ms: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember."""
        return not self.failures and not self.trying


def _settled(count: Count, policy: Policy, now_ms: int) -> Count:
    """With those who never told how it ended."""
    if not count.trying or now_ms < count.held_until_ms:
        return count
    failures = count.failures + count.trying
    # From then on, not from now on: whoever looks again finds the same.
    until = count.held_until_ms + round(policy.wait_s(failures) * 1000)
    return Count(failures, 0, 0, until)


def begin(count: Count, policy: Policy, now_ms: int) -> tuple[Count, Verdict, int]:
    """A try is to be made: what is known then, whether it may, after how many ms if not."""
    count = _settled(count, policy, now_ms)
    if count.not_before_ms > now_ms:
        return count, Verdict.LATER, count.not_before_ms - now_ms
    if count.trying and count.failures + count.trying >= policy.free:
        return count, Verdict.WAIT, 0
    held = now_ms + round(HOLD_S * 1000)
    return Count(count.failures, count.trying + 1, held, count.not_before_ms), Verdict.GO, 0


def failed(count: Count, policy: Policy, now_ms: int) -> Count:
    """A try was wrong."""
    count = _settled(count, policy, now_ms)
    failures = count.failures + 1
    until = now_ms + round(policy.wait_s(failures) * 1000)
    return Count(failures, max(0, count.trying - 1), count.held_until_ms, until)


def succeeded(count: Count, policy: Policy, now_ms: int) -> Count:
    """A try was right: what came before is forgiven."""
    count = _settled(count, policy, now_ms)
    return Count(0, max(0, count.trying - 1), count.held_until_ms, 0)


def abandoned(count: Count, policy: Policy, now_ms: int) -> Count:
    """A try was not made after all."""
    count = _settled(count, policy, now_ms)
    return Count(count.failures, max(0, count.trying - 1), count.held_until_ms, count.not_before_ms)
