"""What activities add up to, in whatever order the events come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.progress.rules import (
    Amount,
    Counted,
    DayKey,
    Period,
    ProgressRangeInvalid,
    add_up,
    counted,
    increments,
    period_start,
    resolve_range,
    roll_up,
)

FIGURES = st.floats(0, 1e6)
DAYS = st.dates(date(2024, 12, 20), date(2026, 1, 10))
ACTIVITIES = st.builds(
    counted,
    DAYS,
    st.integers(1, 3),
    elapsed_s=FIGURES,
    moving_s=FIGURES,
    distance_m=FIGURES,
    ascent_m=FIGURES,
)
Changes = list[Mapping[DayKey, Amount]]


@st.composite
def histories(draw: st.DrawFn) -> tuple[Changes, list[Counted]]:
    """The increments of some activities' lives, and what is left of each at the end."""
    changes: Changes = []
    left: list[Counted] = []
    for life in draw(st.lists(st.lists(ACTIVITIES, min_size=1, max_size=4), max_size=5)):
        current: Counted | None = None
        for version in life:
            changes.append(increments(current, version))
            current = version
        if draw(st.booleans()):
            changes.append(increments(current, None))
        elif current is not None:
            left.append(current)
    return changes, left


@given(histories(), st.randoms(use_true_random=False))
def test_any_order_of_events_gives_what_is_left(
    history: tuple[Changes, list[Counted]], random: object
) -> None:
    changes, left = history
    expected = add_up({one.key: one.amount} for one in left)
    assert add_up(changes) == expected
    shuffled = list(changes)
    getattr(random, "shuffle")(shuffled)  # noqa: B009
    assert add_up(shuffled) == expected


@given(ACTIVITIES)
def test_what_is_recorded_and_deleted_leaves_nothing(activity: Counted) -> None:
    assert add_up([increments(activity, None), increments(None, activity)]) == {}


@given(ACTIVITIES)
def test_a_correction_that_changes_nothing_is_no_increment(activity: Counted) -> None:
    assert increments(activity, activity) == {}


@given(st.lists(ACTIVITIES, max_size=20), st.sampled_from(Period))
def test_periods_add_up_to_the_whole(activities: list[Counted], period: Period) -> None:
    rows = add_up(increments(None, one) for one in activities)
    totals = roll_up(rows, period)
    whole = sum((one.amount for one in activities), Amount())
    assert sum((amount for _, amount in totals), Amount()) == whole
    keys = [key for key, _ in totals]
    assert keys == sorted(set(keys))
    assert all(period_start(key.day, period) == key.day for key in keys)


@given(st.dates(), st.sampled_from(Period))
def test_a_period_begins_at_or_before_its_day_and_is_its_own_start(
    day: date, period: Period
) -> None:
    start = period_start(day, period)
    assert start <= day
    assert period_start(start, period) == start
    assert (day - start).days < {1: 1, 2: 7, 3: 31, 4: 366}[period]


def test_weeks_are_iso_weeks_across_the_year() -> None:
    assert period_start(date(2026, 1, 1), Period.WEEK) == date(2025, 12, 29)
    assert period_start(date(2024, 12, 29), Period.WEEK) == date(2024, 12, 23)
    for days in range(800):
        day = date(2024, 1, 1) + timedelta(days=days)
        start = period_start(day, Period.WEEK)
        assert (start.isocalendar()[:2], start.weekday()) == (day.isocalendar()[:2], 0)


def test_figures_are_kept_to_the_millimetre_and_the_millisecond() -> None:
    one = counted(
        date(2026, 1, 1), 1, elapsed_s=0.1, moving_s=0.2, distance_m=10_000.0014, ascent_m=-1.0
    )
    assert one.amount == Amount(1, 100, 200, 10_000_001, 0)
    odd = counted(
        date(2026, 1, 1),
        1,
        elapsed_s=float("nan"),
        moving_s=float("inf"),
        distance_m=1e300,
        ascent_m=0,
    )
    assert odd.amount == Amount(1)


def test_only_the_sports_asked_for_and_only_periods_with_something_in_them() -> None:
    day = date(2026, 3, 4)
    rows = {
        DayKey(day, 1): Amount(1, 5),
        DayKey(day, 2): Amount(2, 7),
        DayKey(day + timedelta(days=40), 2): Amount(-1, -7),
    }
    assert roll_up(rows, Period.MONTH, {2}) == [(DayKey(date(2026, 3, 1), 2), Amount(2, 7))]
    assert len(roll_up(rows, Period.YEAR)) == 2


def test_the_range_defaults_to_the_year_up_to_today() -> None:
    today = date(2026, 11, 21)
    assert resolve_range(None, None, today, Period.WEEK) == (date(2025, 11, 21), today)
    leap = date(2024, 2, 29)
    assert resolve_range(None, leap, today, Period.DAY) == (date(2023, 2, 28), leap)
    assert resolve_range(None, date.min, today, Period.DAY) == (date.min, date.min)


@pytest.mark.parametrize(
    ("start", "end", "period"),
    [
        (date(2026, 1, 2), date(2026, 1, 1), Period.DAY),
        (date(2010, 1, 1), date(2026, 1, 1), Period.DAY),
        (date(1900, 1, 1), date(2026, 1, 1), Period.YEAR),
    ],
)
def test_a_range_backwards_or_without_bound_is_refused(
    start: date, end: date, period: Period
) -> None:
    with pytest.raises(ProgressRangeInvalid) as refused:
        resolve_range(start, end, date(2026, 1, 1), period)
    assert refused.value.field == "start_date"


def test_an_unspecified_period_is_a_week() -> None:
    assert Period.of_contract(0) is Period.WEEK
    with pytest.raises(ValueError, match="9"):
        Period.of_contract(9)
