"""What was counted in a scenario, and the figures that follow from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.load.noise import NO_NOISE, Noise
from tests.load.targets import TARGETS, Target


@dataclass(slots=True)
class Tally:
    """What a load counted on its own side."""

    units: int = 0
    """What was done: requests, samples or updates."""
    failed: int = 0
    """What was answered otherwise than it should be; not among `units`."""
    latencies_ms: list[float] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)
    """What else it saw, by name with its unit."""

    def add(self, other: Tally) -> None:
        """Takes in what another part of the load counted."""
        self.units += other.units
        self.failed += other.failed
        self.latencies_ms += other.latencies_ms
        self.notes |= other.notes


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of a scenario."""

    name: str
    unit: str
    tally: Tally
    elapsed_s: float
    cpu_us: Mapping[str, float]
    """By group, while it ran."""
    noise: Noise = NO_NOISE

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


@dataclass(frozen=True, slots=True)
class Rounds:
    """All rounds of a scenario: medians, and how far they lie apart."""

    name: str
    unit: str
    panel: str
    """What it is drawn together with."""
    rounds: Sequence[Measured]

    @property
    def failed(self) -> int:
        """Of all rounds."""
        return sum(each.tally.failed for each in self.rounds)

    @property
    def units(self) -> int:
        """Of all rounds."""
        return sum(each.tally.units for each in self.rounds)

    @property
    def per_s(self) -> float:
        """Units in a second, the median."""
        return median(each.per_s for each in self.rounds)

    def latency_ms(self, percent: float) -> float | None:
        """A percentile over all rounds."""
        return percentile([ms for each in self.rounds for ms in each.tally.latencies_ms], percent)

    def per_unit_us(self) -> dict[str, float] | None:
        """CPU µs of each group for one unit, the round that is the median in all; None of none."""
        done = sorted((each for each in self.rounds if each.tally.units), key=_in_all)
        return done[(len(done) - 1) // 2].per_unit_us() if done else None

    def in_all_us(self) -> list[float]:
        """CPU µs of all groups together for one unit, of each round that did something."""
        return [total for each in self.rounds if (total := each.in_all_us()) is not None]

    @property
    def spread_percent(self) -> float | None:
        """The dearest round less the cheapest, of their median."""
        totals = self.in_all_us()
        middle = median(totals) if totals else 0
        return 100 * (max(totals) - min(totals)) / middle if middle else None

    @property
    def target(self) -> Target | None:
        """What it is held against."""
        return TARGETS.get(self.name)

    @property
    def held(self) -> float | None:
        """What is held against the target: the median over the rounds."""
        target = self.target
        costs = [costs for each in self.rounds if (costs := each.per_unit_us()) is not None]
        return median(target.value(each) for each in costs) if target and costs else None

    @property
    def hit(self) -> bool | None:
        """Whether the target holds and nothing failed; None where there is no target."""
        if self.target is None:
            return None
        return self.held is not None and self.held <= self.target.most_us and not self.failed

    def notes(self) -> dict[str, float]:
        """The medians of what else was seen."""
        names = dict.fromkeys(name for each in self.rounds for name in each.tally.notes)
        return {
            name: median(each.tally.notes[name] for each in self.rounds if name in each.tally.notes)
            for name in names
        }


def _in_all(measured: Measured) -> float:
    return measured.in_all_us() or 0.0


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
