"""How dear everything is here, beside the machine on which the targets were held.

Owns the yardsticks: work that does not change with Palestra, and what it cost there. A target
is held or missed by what was measured; this says what a miss on a slower machine means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from tests.load.figures import Rounds

WORK_US: Final = 1_254
"""The fixed piece of work (`noise.reference_us`) there, the median of a whole run."""
PEERS_US: Final[Mapping[str, float]] = {
    "get-peer": 283,
    "list-20-peer": 734,
    "list-50-peer": 1_541,
    "streams-all-peer": 960,
    "get-peer-edge": 395,
    "list-20-peer-edge": 904,
    "list-50-peer-edge": 1_654,
    "streams-all-peer-edge": 1_481,
    "get-peer-orm": 960,
    "list-20-peer-orm": 2_385,
    "list-50-peer-orm": 4_909,
    "streams-all-peer-orm": 5_914,
}
"""The peers there: CPU µs for one request in the same run (docs/performance.md)."""


class Pace(NamedTuple):
    """How many times as much as there the same costs here, by the yardsticks."""

    least: float
    middle: float
    most: float

    def there(self, us: float) -> tuple[float, float, float]:
        """What `us` of here would be there: by the yardstick in the middle, at least, at most."""
        return us / self.middle, us / self.most, us / self.least


def of(measured: Sequence[Rounds], reference_us: float) -> Pace | None:
    """By all yardsticks of one run; None where it was not one with every peer."""
    found = {each.name: each.in_all_us() for each in measured if each.name in PEERS_US}
    if len(found) < len(PEERS_US) or not all(found.values()):
        return None
    times = [median(totals) / PEERS_US[name] for name, totals in found.items()]
    times.append(reference_us / WORK_US)
    return Pace(min(times), median(times), max(times))


def words(pace: Pace | None) -> list[str]:
    """The pace in a line; none of none."""
    if pace is None:
        return []
    times = f"{pace.middle:.2f} times ({pace.least:.2f} to {pace.most:.2f})"
    return [f"The pace: {times} what the same cost there"]
