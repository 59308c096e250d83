"""What the figures are held against. Nothing here is asserted unless `--assert` asks for it.

Owns the numbers. A target is CPU µs for one of a scenario's unit, in all processes together
or in those that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SECONDS_BETWEEN_BATCHES = 5.0
"""How often a live session sends in the scenarios of many sessions."""


@dataclass(frozen=True, slots=True)
class Target:
    """The most that one unit may cost."""

    most_us: float
    groups: tuple[str, ...] = ()
    """The processes that count; none: all of them."""
    each: bool = False
    """Whether it is for each of `groups` by itself, not for their sum."""

    def value(self, costs: Mapping[str, float]) -> float:
        """What is held against it, of the CPU µs for one unit by group."""
        if not self.groups:
            return sum(costs.values())
        found = [costs.get(group, 0.0) for group in self.groups]
        return max(found) if self.each else sum(found)

    @property
    def words(self) -> str:
        """Of whom it speaks."""
        if not self.groups:
            return "all"
        return ("each of " if self.each else "") + ", ".join(self.groups)


def sessions_per_core(us_per_batch: float) -> float:
    """How many live sessions one core serves, where a batch of one costs so much."""
    return SECONDS_BETWEEN_BATCHES * 1_000_000 / us_per_batch


def _for_sessions(count: int, *groups: str) -> Target:
    return Target(SECONDS_BETWEEN_BATCHES * 1_000_000 / count, groups)


TARGETS: Mapping[str, Target] = {
    "start": Target(1_000_000, ("identity", "integration", "training"), each=True),
    "refresh": Target(1_500),
    "get": Target(1_300),
    "get-grpc": Target(1_300),
    "list-20": Target(1_900),
    "list-50": Target(2_400),
    "list-50-grpc": Target(1_300),
    "streams-1000": Target(4_000),
    "streams-1000-grpc": Target(4_000),
    "streams-all": Target(4_000),
    "streams-all-grpc": Target(4_000),
    "ingest-100": Target(6, ("training",)),
    "sessions-5000": _for_sessions(5_000),
    "sessions-20000-training": _for_sessions(20_000, "training"),
}
