"""What was counted in a scenario, and the figures that follow from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """What a load counted on its own side."""

    units: int = 0
    """What was done: requests, samples or updates."""
    failed: int = 0
    """What was answered otherwise than it should be; not among `units`."""
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Takes in what another part of the load counted."""
        self.units += other.units
        self.failed += other.failed
        self.latencies_ms += other.latencies_ms


@dataclass(frozen=True, slots=True)
class Measured:
    """A scenario's outcome."""

    name: str
    unit: str
    tally: Tally
    elapsed_s: float
    cpu_us: Mapping[str, float]
    """By group, while it ran."""

    @property
    def per_s(self) -> float:
        """Units in a second."""
        return self.tally.units / self.elapsed_s

    def per_unit_us(self) -> dict[str, float] | None:
        """CPU µs of each group for one unit; None where nothing was done."""
        units = self.tally.units
        return {group: us / units for group, us in self.cpu_us.items()} if units else None

    def in_all_us(self) -> float | None:
        """CPU µs of all groups together for one unit."""
        costs = self.per_unit_us()
        return None if costs is None else sum(costs.values())


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that `percent` of all do not exceed (nearest rank); None of none.

    Raises:
        ValueError: not above 0 and at most 100.
    """
    if not 0 < percent <= 100:
        raise ValueError(f"{percent} is no percentage above 0")
    if not values:
        return None
    return sorted(values)[math.ceil(percent / 100 * len(values)) - 1]
