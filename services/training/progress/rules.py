"""What a person's activities add up to.

Owns the sums by day and sport, and their roll-up to weeks, months and years. Decides
what each event adds or takes away. Sums are integers (ms, mm), so that events may come
in any order, and a deletion takes away exactly what the recording added: no drift.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import ClassVar, Final

MAX_RANGE_DAYS: Final = {1: 3_660, 2: 36_600, 3: 36_600, 4: 36_600}
"""By period: ten years of days, a century of the longer ones."""
_LARGEST: Final = 2**53


class Period(IntEnum):
    """The contract's Period."""

    DAY = 1
    WEEK = 2
    """Monday to Sunday (ISO 8601)."""
    MONTH = 3
    YEAR = 4

    @classmethod
    def of_contract(cls, number: int) -> Period:
        """The contract's number; unspecified (0) is a week. ValueError for any other."""
        return cls(number or cls.WEEK)


class ProgressRangeInvalid(Exception):
    """The range of days cannot be answered."""

    reason: ClassVar[str] = "INVALID_FIELD"

    def __init__(self, detail: str, *, field: str) -> None:
        """`field`: of the request."""
        super().__init__(detail)
        self.field = field


@dataclass(frozen=True, slots=True)
class Amount:
    """What some activities add up to; negative where an event takes away."""

    activity_count: int = 0
    elapsed_ms: int = 0
    moving_ms: int = 0
    distance_mm: int = 0
    ascent_mm: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Exact, so that the order of additions does not matter."""
        return Amount(
            self.activity_count + other.activity_count,
            self.elapsed_ms + other.elapsed_ms,
            self.moving_ms + other.moving_ms,
            self.distance_mm + other.distance_mm,
            self.ascent_mm + other.ascent_mm,
        )

    def __neg__(self) -> Amount:
        """What takes this away again."""
        return Amount(
            -self.activity_count,
            -self.elapsed_ms,
            -self.moving_ms,
            -self.distance_mm,
            -self.ascent_mm,
        )


NOTHING: Final = Amount()


@dataclass(frozen=True, slots=True, order=True)
class DayKey:
    """The row that an amount belongs to: `sport` is the contract's number."""

    day: date
    sport: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What one activity counts for, as an event tells it."""

    key: DayKey
    amount: Amount


def counted(
    day: date, sport: int, *, elapsed_s: float, moving_s: float, distance_m: float, ascent_m: float
) -> Counted:
    """One activity. The same figures always round to the same integers."""
    return Counted(
        DayKey(day, sport),
        Amount(
            1,
            _thousandths(elapsed_s),
            _thousandths(moving_s),
            _thousandths(distance_m),
            _thousandths(ascent_m),
        ),
    )


def _thousandths(value: float) -> int:
    """Of a unit; what is no finite number from 0 to 2^53 counts as nothing."""
    scaled = value * 1000
    return round(scaled) if 0 <= scaled < _LARGEST else 0


def increments(before: Counted | None, after: Counted | None) -> dict[DayKey, Amount]:
    """What an event changes: recorded (None, after), corrected, deleted (before, None).

    At most two rows; a correction that changes nothing gives none.
    """
    changes: dict[DayKey, Amount] = {}
    if before is not None:
        changes[before.key] = -before.amount
    if after is not None:
        changes[after.key] = changes.get(after.key, NOTHING) + after.amount
    return {key: amount for key, amount in changes.items() if amount != NOTHING}


def add_up(changes: Iterable[Mapping[DayKey, Amount]]) -> dict[DayKey, Amount]:
    """The rows after these increments, in any order; what cancelled out is left out."""
    rows: defaultdict[DayKey, Amount] = defaultdict(Amount)
    for change in changes:
        for key, amount in change.items():
            rows[key] += amount
    return {key: amount for key, amount in rows.items() if amount != NOTHING}


def period_start(day: date, period: Period) -> date:
    """The first day of the period that the day lies in."""
    match period:
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=min(day.weekday(), day.toordinal() - 1))
        case Period.MONTH:
            return day.replace(day=1)
        case Period.YEAR:
            return day.replace(month=1, day=1)


def roll_up(
    rows: Mapping[DayKey, Amount], period: Period, sports: Collection[int] = ()
) -> list[tuple[DayKey, Amount]]:
    """Per period (its first day) and sport, in that order; only `sports` where any are given.

    A period without activities is left out; so is one in which, while events are still
    on their way, more was taken away than added.
    """
    totals: defaultdict[DayKey, Amount] = defaultdict(Amount)
    for key, amount in rows.items():
        if not sports or key.sport in sports:
            totals[DayKey(period_start(key.day, period), key.sport)] += amount
    return sorted(
        ((key, amount) for key, amount in totals.items() if amount.activity_count > 0),
        key=lambda total: total[0],
    )


def latest_today(now: datetime) -> date:
    """The date where the day begins first (UTC+14): whose day it is already must see it."""
    return (now.astimezone(UTC) + timedelta(hours=14)).date()


def resolve_range(
    start: date | None, end: date | None, today: date, period: Period
) -> tuple[date, date]:
    """The first and the last day, both included: to today, from a year before the end.

    Only the days of the range count, also where it begins within a period. Raises
    ProgressRangeInvalid where it ends before it starts or is too long for the period.
    """
    last = end or today
    first = start or _a_year_before(last)
    if first > last:
        raise ProgressRangeInvalid(f"{first} is after {last}", field="start_date")
    bound = MAX_RANGE_DAYS[period]
    if (last - first).days >= bound:
        raise ProgressRangeInvalid(
            f"{(last - first).days + 1} days, at most {bound} by {period.name.lower()}",
            field="start_date",
        )
    return first, last


def _a_year_before(day: date) -> date:
    """The same date a year earlier; 28 February for 29 February."""
    if day.year == date.min.year:
        return date.min
    leap = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year - 1, day=28 if leap else day.day)
