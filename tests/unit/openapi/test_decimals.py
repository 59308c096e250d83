"""The pattern of a range matches the numbers of the range, each written one way, and no other."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.openapi import decimals

WHOLE = st.integers(-(1 << 63), (1 << 64) - 1)


def matches(low: int, high: int, text: str) -> bool:
    """Whether the range's pattern matches a text."""
    return re.search(decimals.pattern(low, high), text) is not None


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 0), (0, 9), (7, 7), (1, 1000), (98, 1203), (-5, 5), (-120, -7), (0, 1024), (-1000, 0)],
)
def test_a_small_range_is_matched_whole_and_alone(low: int, high: int) -> None:
    found = {number for number in range(-2000, 2001) if matches(low, high, str(number))}
    assert found == set(range(low, high + 1))


@given(st.tuples(WHOLE, WHOLE).map(sorted), WHOLE)
def test_a_number_matches_where_it_lies_between(ends: list[int], number: int) -> None:
    low, high = ends
    assert matches(low, high, str(number)) == (low <= number <= high)
    assert matches(low, high, str(low))
    assert matches(low, high, str(high))
    assert matches(low, high, str(low - 1)) is False
    assert matches(low, high, str(high + 1)) is False


@pytest.mark.parametrize("text", ["", "-", "-0", "007", "+7", "7.0", "7e0", " 7", "seven"])
def test_what_is_no_number_or_written_otherwise_does_not_match(text: str) -> None:
    assert not matches(-10, 10, text)


def test_a_range_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing lies between 2 and 1"):
        decimals.pattern(2, 1)


def test_the_pattern_of_a_round_range_is_short() -> None:
    assert decimals.pattern(0, 9_999_999) == "^(0|[1-9][0-9]{0,6})$"
