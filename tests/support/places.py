"""How far apart two places are, for tests of what covers zones."""

from __future__ import annotations

import math

Place = tuple[float, float]


def apart_m(one: Place, other: Place) -> float:
    """Metres on the sphere, by the chord: another formula than the one under test."""
    x, y = (_unit(place) for place in (one, other))
    return 2 * 6_371_008.8 * math.asin(math.dist(x, y) / 2)


def _unit(place: Place) -> tuple[float, float, float]:
    phi, theta = map(math.radians, place)
    return math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)
