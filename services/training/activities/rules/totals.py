"""What a workout counts for.

Owns the step from a summary to the figures that other services and the athlete's
progress add up, and the day to which they belong. Decides nothing about periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from services.training.activities.rules.sports import Sport
from services.training.activities.rules.summary import Summary

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ActivityTotals:
    """What was not measured counts as nothing."""

    sport: Sport
    local_date: date
    elapsed_s: float
    moving_s: float
    distance_m: float
    ascent_m: float


def totals_of(
    summary: Summary, sport: Sport, start_ms: int, utc_offset_s: int | None
) -> ActivityTotals:
    """`start_ms`: by the device's clock, ms since 1970; `utc_offset_s`: None reads as UTC."""
    return ActivityTotals(
        sport=sport,
        local_date=local_date(start_ms, utc_offset_s),
        elapsed_s=summary.elapsed_s or 0.0,
        moving_s=summary.moving_s or 0.0,
        distance_m=summary.distance_m or 0.0,
        ascent_m=summary.ascent_m or 0.0,
    )


def local_date(start_ms: int, utc_offset_s: int | None) -> date:
    """The day on which the athlete began, by the device's local time."""
    local = _EPOCH + timedelta(milliseconds=start_ms, seconds=utc_offset_s or 0)
    return local.date()
