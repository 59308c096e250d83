"""The kinds of sport, and what is physically plausible in each.

Owns the numbers that the formulas take from a sport, and where they are from. The
numbers of the kinds are the contract's; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class Sport(IntEnum):
    """The contract's Sport."""

    UNSPECIFIED = 0
    RUNNING = 1
    CYCLING = 2
    SWIMMING = 3
    WALKING = 4
    HIKING = 5
    CROSS_COUNTRY_SKIING = 6
    ALPINE_SKIING = 7
    SNOWBOARDING = 8
    ROWING = 9
    PADDLING = 10
    STRENGTH = 11
    YOGA = 12
    FITNESS_EQUIPMENT = 13
    SKATING = 14
    CLIMBING = 15
    TEAM_GAME = 16
    RACKET_GAME = 17
    TRANSITION = 18
    OTHER = 19


MILE_M: Final = 1_609.344
"""The international mile."""

_RUN_EFFORTS_M: Final = (
    400.0,
    MILE_M / 2,
    1_000.0,
    MILE_M,
    2 * MILE_M,
    5_000.0,
    10_000.0,
    15_000.0,
    10 * MILE_M,
    20_000.0,
    21_097.5,
    30_000.0,
    42_195.0,
    50_000.0,
)
"""Strava's list of running best efforts; half and full marathon as World Athletics measures."""

_RIDE_EFFORTS_M: Final = (
    5 * MILE_M,
    10_000.0,
    10 * MILE_M,
    20_000.0,
    30_000.0,
    40_000.0,
    50_000.0,
    80_000.0,
    50 * MILE_M,
    90_000.0,
    100_000.0,
    100 * MILE_M,
    180_000.0,
)
"""Strava's list of cycling best efforts."""

_SWIM_EFFORTS_M: Final = (100.0, 200.0, 400.0, 750.0, 1_500.0, 1_900.0, 3_800.0)
"""World Aquatics' distances and the legs of triathlons."""

_ROW_EFFORTS_M: Final = (500.0, 1_000.0, 2_000.0, 5_000.0, 6_000.0, 10_000.0, 21_097.5)
"""Concept2's ranked distances."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the formulas take from a sport."""

    top_speed_mps: float = 70.0
    """Faster than this is a bad fix, not a person."""
    stopped_below_mps: float | None = 1.0 / 3.6
    """Slower than this is standing; None where speed says nothing about moving.

    1 km/h is gpxpy's and FitTrackee's threshold, 0.1 km/h FitTrackee's for hiking.
    """
    lap_m: float = 1_000.0
    """Automatic laps, where the device cut none."""
    efforts_m: tuple[float, ...] = ()


_BY_SPORT: Final[Mapping[Sport, Profile]] = MappingProxyType(
    {
        # The fastest sprint on record peaked at 12.4 m/s.
        Sport.RUNNING: Profile(12.5, efforts_m=_RUN_EFFORTS_M),
        Sport.WALKING: Profile(6.0, efforts_m=_RUN_EFFORTS_M),
        Sport.HIKING: Profile(8.0, 0.1 / 3.6, efforts_m=_RUN_EFFORTS_M),
        Sport.CYCLING: Profile(40.0, lap_m=5_000.0, efforts_m=_RIDE_EFFORTS_M),
        Sport.SWIMMING: Profile(4.0, 0.1 / 3.6, lap_m=100.0, efforts_m=_SWIM_EFFORTS_M),
        Sport.CROSS_COUNTRY_SKIING: Profile(25.0),
        Sport.SKATING: Profile(30.0),
        Sport.ROWING: Profile(9.0, lap_m=500.0, efforts_m=_ROW_EFFORTS_M),
        Sport.PADDLING: Profile(12.0),
        Sport.TRANSITION: Profile(12.5),
        Sport.CLIMBING: Profile(8.0, None),
        Sport.STRENGTH: Profile(12.5, None),
        Sport.YOGA: Profile(12.5, None),
        Sport.FITNESS_EQUIPMENT: Profile(40.0, None),
        Sport.TEAM_GAME: Profile(12.5, None),
        Sport.RACKET_GAME: Profile(12.5, None),
    }
)


def profile_of(sport: Sport) -> Profile:
    """The sport's numbers; the widest where it has none of its own."""
    return _BY_SPORT.get(sport, Profile())
