"""What a list's filter means, and where it is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.activities.rules.errors import FieldInvalid, FilterInvalid
from services.training.activities.rules.filtering import (
    MAX_COMPARISONS,
    ActivityFilter,
    parse_filter,
    parse_order,
)
from services.training.activities.rules.sports import Sport

NEW_YEAR_MS = 1_767_225_600_000
NEW_YEAR = '"2026-01-01T00:00:00Z"'


def test_the_contracts_example_is_understood() -> None:
    parsed = parse_filter(f"sport = SPORT_RUNNING AND start_time >= {NEW_YEAR}")
    assert parsed == ActivityFilter(frozenset({Sport.RUNNING}), from_ms=NEW_YEAR_MS)
    assert not parsed.has_all_sports


@pytest.mark.parametrize("text", ["", "   ", "\t\n"])
def test_an_empty_filter_matches_all(text: str) -> None:
    parsed = parse_filter(text)
    assert parsed == ActivityFilter()
    assert parsed.has_all_sports
    assert not parsed.matches_nothing


@pytest.mark.parametrize(
    ("operator", "matching"),
    [("=", {0}), ("!=", {-1, 1}), ("<", {-1}), ("<=", {-1, 0}), (">", {1}), (">=", {0, 1})],
)
def test_each_operator_means_what_it_says(operator: str, matching: set[int]) -> None:
    parsed = parse_filter(f"start_time{operator}{NEW_YEAR}")
    found = {n for n in (-1, 0, 1) if parsed.matches(Sport.OTHER, NEW_YEAR_MS + n)}
    assert found == matching


@pytest.mark.parametrize(
    ("operator", "matching"),
    [("=", set()), ("!=", {0, 1}), ("<", {0}), ("<=", {0}), (">", {1}), (">=", {1})],
)
def test_a_time_between_two_milliseconds_is_rounded_the_right_way(
    operator: str, matching: set[int]
) -> None:
    parsed = parse_filter(f'start_time {operator} "2026-01-01T00:00:00.0005Z"')
    found = {n for n in (0, 1) if parsed.matches(Sport.OTHER, NEW_YEAR_MS + n)}
    assert found == matching


def test_an_offset_from_utc_is_read() -> None:
    assert parse_filter('start_time >= "2026-01-01T03:00:00+03:00"').from_ms == NEW_YEAR_MS


def test_sports_are_left_out_and_contradictions_match_nothing() -> None:
    parsed = parse_filter("sport != SPORT_RUNNING AND sport != SPORT_CYCLING")
    assert parsed.sports == frozenset(Sport) - {Sport.RUNNING, Sport.CYCLING}
    assert parse_filter("sport = SPORT_RUNNING AND sport = SPORT_CYCLING").matches_nothing
    assert parse_filter(f"start_time < {NEW_YEAR} AND start_time > {NEW_YEAR}").matches_nothing


@pytest.mark.parametrize(
    ("text", "column", "found"),
    [
        ("sport", 6, "the end"),
        ("sport =", 8, "the end"),
        ("sport = RUNNING", 9, "'RUNNING'"),
        ("sport > SPORT_RUNNING", 7, "'>'"),
        ("sport = SPORT_RUNNING AND", 26, "the end"),
        ("sport = SPORT_RUNNING OR sport = SPORT_YOGA", 23, "'OR'"),
        ("sport = SPORT_RUNNING sport = SPORT_YOGA", 23, "'sport'"),
        ("AND", 1, "'AND'"),
        ("NOT sport = SPORT_YOGA", 1, "'NOT'"),
        ("(sport = SPORT_YOGA)", 1, "'('"),
        ("title = SPORT_YOGA", 1, "'title'"),
        ("start_time >= 2026-01-01", 15, "'2'"),
        ('start_time >= "2026-01-01"', 15, "'2026-01-01'"),
        ('start_time >= "2026-01-01T00:00:00"', 15, "'2026-01-01T00:00:00'"),
        ('start_time >= "2026-02-30T00:00:00Z"', 15, "'2026-02-30T00:00:00Z'"),
        ('start_time >= "2026-01-01T00:00:00Z', 15, "'\"'"),
        ("sport == SPORT_YOGA", 8, "'='"),
        ("sport : SPORT_YOGA", 7, "':'"),
        ("sport = SPORT_YOGA;", 19, "';'"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_column(
    text: str, column: int, found: str
) -> None:
    with pytest.raises(FilterInvalid) as refused:
        parse_filter(text)
    assert str(refused.value).startswith(f"column {column}: ")
    assert str(refused.value).endswith(found)
    assert refused.value.field == "filter"


def test_the_number_of_comparisons_is_bounded() -> None:
    one = "sport != SPORT_YOGA"
    parse_filter(" AND ".join([one] * MAX_COMPARISONS))
    with pytest.raises(FilterInvalid, match="at most 32"):
        parse_filter(" AND ".join([one] * (MAX_COMPARISONS + 1)))


PIECES = st.sampled_from(
    [
        "sport",
        "start_time",
        "=",
        "!=",
        "<",
        "AND",
        "OR",
        NEW_YEAR,
        '"',
        "SPORT_YOGA",
        " ",
        "(",
        "\\",
    ]
)


@given(st.text(max_size=40) | st.lists(PIECES, max_size=12).map(" ".join))
def test_any_text_is_a_filter_or_is_refused_as_one(text: str) -> None:
    try:
        assert isinstance(parse_filter(text), ActivityFilter)
    except FilterInvalid as refused:
        assert str(refused).startswith("column ")


@pytest.mark.parametrize(
    ("text", "newest_first"),
    [
        ("", True),
        ("start_time desc", True),
        ("  start_time   desc ", True),
        ("start_time", False),
        ("start_time asc", False),
    ],
)
def test_the_newest_come_first_unless_asked_otherwise(text: str, newest_first: bool) -> None:
    assert parse_order(text) is newest_first


@pytest.mark.parametrize("text", ["distance", "start_time DESC", "start_time, sport", "desc"])
def test_another_order_is_refused(text: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        parse_order(text)
    assert refused.value.field == "order_by"
