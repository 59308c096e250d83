"""Ranges of whole numbers as regular expressions, for numbers that travel as strings.

Owns the splitting of a range into runs of digits. A number is written one way alone: without
`+` and without zeros before it.
"""

from __future__ import annotations

from collections.abc import Iterator


def pattern(low: int, high: int) -> str:
    """Matches the whole numbers from `low` to `high`, both included, and nothing else."""
    if low > high:
        raise ValueError(f"nothing lies between {low} and {high}")
    parts = [*_unsigned(max(low, 0), high)] if high >= 0 else []
    if low < 0:
        parts += [f"-{each}" for each in _unsigned(max(1, -high), -low)]
    return f"^({'|'.join(parts)})$"


def _unsigned(low: int, high: int) -> Iterator[str]:
    if low == 0:
        yield "0"
        low = 1
    # Every number of so many digits: one run for them all.
    whole = [n for n in range(1, 21) if low <= 10 ** (n - 1) and 10**n - 1 <= high]
    for length in range(len(str(low)), len(str(high)) + 1):
        if length in whole[1:]:
            continue
        if length in whole[:1]:
            yield _of_lengths(whole[0], whole[-1])
        elif low <= high:
            least, most = max(low, 10 ** (length - 1)), min(high, 10**length - 1)
            yield from _of_one_length(str(least), str(most))


def _of_lengths(least: int, most: int) -> str:
    if least == most:
        return f"[1-9]{_any(least - 1)}"
    return f"[1-9][0-9]{{{least - 1},{most - 1}}}"


def _of_one_length(low: str, high: str) -> Iterator[str]:
    rest = len(low) - 1
    if rest == 0:
        yield _digit(low, high)
        return
    if low[0] == high[0]:
        yield from (low[0] + each for each in _of_one_length(low[1:], high[1:]))
        return
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        yield from (low[0] + each for each in _of_one_length(low[1:], "9" * rest))
        first += 1
    if high[1:] == "9" * rest:
        last += 1
    if first < last:
        yield _digit(str(first), str(last - 1)) + _any(rest)
    if high[1:] != "9" * rest:
        yield from (high[0] + each for each in _of_one_length("0" * rest, high[1:]))


def _digit(low: str, high: str) -> str:
    return low if low == high else f"[{low}-{high}]"


def _any(count: int) -> str:
    if count == 0:
        return ""
    return "[0-9]" if count == 1 else f"[0-9]{{{count}}}"
