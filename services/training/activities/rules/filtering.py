"""The filter and the order of a list of activities.

Owns the subset of AIP-160 that `ListActivities` understands: comparisons of `sport` and
`start_time`, joined by AND. Decides what it means, or says where it stops making sense.
Never builds SQL; the store turns the result into conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple, NoReturn

from services.training.activities.rules.errors import FieldInvalid, FilterInvalid
from services.training.activities.rules.sports import Sport

MAX_COMPARISONS: Final = 32
EARLIEST_START_MS: Final = -(2**53)
LATEST_START_MS: Final = 2**53

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_.]*)|(?P<operator><=|>=|!=|=|<|>)
    |"(?P<string>[^"\\]*)"|(?P<other>\S))""",
    re.VERBOSE,
)
_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPORTS: Final = {f"SPORT_{sport.name}": sport for sport in Sport}


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Matches an activity whose sport is in `sports` and whose start is in the bounds."""

    sports: frozenset[Sport] = frozenset(Sport)
    from_ms: int = EARLIEST_START_MS
    """The first start that matches, ms since 1970."""
    to_ms: int = LATEST_START_MS
    """The last start that matches, itself included."""
    except_ms: frozenset[int] = frozenset()
    """Starts that do not match although they lie between."""

    @property
    def matches_nothing(self) -> bool:
        """Whether the comparisons contradict each other: no query is needed."""
        return not self.sports or self.from_ms > self.to_ms

    @property
    def has_all_sports(self) -> bool:
        """Whether the sport needs no condition."""
        return len(self.sports) == len(Sport)

    def matches(self, sport: Sport, start_ms: int) -> bool:
        """What the store's conditions must agree with."""
        in_time = self.from_ms <= start_ms <= self.to_ms and start_ms not in self.except_ms
        return sport in self.sports and in_time


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


@lru_cache(maxsize=1024)
def parse_filter(text: str) -> ActivityFilter:
    """`sport = SPORT_RUNNING AND start_time >= "2026-01-01T00:00:00Z"`; empty matches all.

    Raises FilterInvalid, naming the column (from 1) and what was expected there.
    """
    tokens = _tokens(text)
    result = ActivityFilter()
    token = next(tokens)
    for count in range(MAX_COMPARISONS + 1):
        if token.kind == "end" and count == 0:
            return result
        if count == MAX_COMPARISONS:
            _refuse(token, f"at most {MAX_COMPARISONS} comparisons")
        result = _with_comparison(result, token, next(tokens), next(tokens))
        joint = next(tokens)
        if joint.kind == "end":
            break
        if joint.kind != "word" or joint.text != "AND":
            _refuse(joint, "expected AND or the end")
        token = next(tokens)
    return result


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while (match := _TOKEN.match(text, at)) is not None:
        kind = str(match.lastgroup)
        yield _Token(kind, match.group(kind), match.start(kind) + (kind != "string"))
        at = match.end()
    while True:
        yield _Token("end", "", len(text) + 1)


def _with_comparison(
    result: ActivityFilter, field: _Token, operator: _Token, value: _Token
) -> ActivityFilter:
    if field.kind != "word" or field.text not in ("sport", "start_time"):
        _refuse(field, "expected sport or start_time")
    if operator.kind != "operator":
        _refuse(operator, "expected one of = != < <= > >=")
    if field.text == "sport":
        return _with_sport(result, operator, value)
    return _with_start(result, operator.text, value)


def _with_sport(result: ActivityFilter, operator: _Token, value: _Token) -> ActivityFilter:
    if operator.text not in ("=", "!="):
        _refuse(operator, "a sport is compared by = or !=")
    sport = _SPORTS.get(value.text) if value.kind in ("word", "string") else None
    if sport is None:
        _refuse(value, "expected a sport such as SPORT_RUNNING")
    named = frozenset({sport})
    kept = result.sports & named if operator.text == "=" else result.sports - named
    return replace(result, sports=kept)


def _with_start(result: ActivityFilter, operator: str, value: _Token) -> ActivityFilter:
    """Starts are whole ms, so that each comparison is one of a bound that is included."""
    micros = _micros(value)
    below, above = micros // 1000, -(-micros // 1000)
    match operator:
        case ">=":
            return replace(result, from_ms=max(result.from_ms, above))
        case ">":
            return replace(result, from_ms=max(result.from_ms, below + 1))
        case "<=":
            return replace(result, to_ms=min(result.to_ms, below))
        case "<":
            return replace(result, to_ms=min(result.to_ms, above - 1))
        case "=":
            bounds = max(result.from_ms, above), min(result.to_ms, below)
            return replace(result, from_ms=bounds[0], to_ms=bounds[1])
        case _:
            excepted = {below} if below == above else set()
            return replace(result, except_ms=result.except_ms | excepted)


def _micros(value: _Token) -> int:
    """Since 1970. The standard library reads six decimals; the rest is cut off."""
    expected = 'expected a time such as "2026-01-01T00:00:00Z"'
    if value.kind != "string" or _RFC3339.fullmatch(value.text) is None:
        _refuse(value, expected)
    try:
        return (datetime.fromisoformat(value.text) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        _refuse(value, expected)


def _refuse(token: _Token, expected: str) -> NoReturn:
    found = "the end" if token.kind == "end" else repr(token.text)
    raise FilterInvalid(f"column {token.column}: {expected}, not {found}", field="filter")


def parse_order(text: str) -> bool:
    """Whether the newest come first: `start_time desc`, the default; else `start_time`.

    Raises FieldInvalid for any other order (AIP-132).
    """
    match text.split():
        case [] | ["start_time", "desc"]:
            return True
        case ["start_time"] | ["start_time", "asc"]:
            return False
        case _:
            raise FieldInvalid(
                f"{text!r}: expected start_time or start_time desc", field="order_by"
            )
