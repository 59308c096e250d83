"""Damage done to bytes and to JSON values, by chance.

Owns what goes wrong in the world: cut, flipped, doubled, swapped, out of any range. Knows
nothing of methods and transports.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

MOST_PLACES = 8

NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**63, -(2**63) - 1, 10**30),
    *(0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf")),
)
TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "\u202e\u200b",
    "\U0001f3c3" * 40,
    "x" * 5_000,
    "../../../etc/passwd",
    "'; DROP TABLE accounts; --",
    "%s%n%x",
    "{{7*7}}${7*7}",
    "<script>alert(1)</script>",
    "users/me",
    "users/*",
    "users/00000000-0000-0000-0000-000000000000",
    "users/me/activities/-",
    "9999-12-31T23:59:59.999999999Z",
    "0000-00-00T00:00:00Z",
    "1969-12-31T23:59:59-99:99",
    "-1s",
    "NaN",
    "1e999",
    "AAAA",
    "====",
    "SPORT_RUNNING",
    "title,notes,*,nothing.at.all",
    "sport = SPORT_RUNNING AND " * 15,
    '(((((((((("',
)
OTHERS: tuple[Any, ...] = (None, True, [], {}, [[]], {"": {}}, [None], {"@type": "x"})


def of_bytes(chance: random.Random, whole: bytes) -> bytes:
    """`whole` with some damage."""
    damaged = bytearray(whole)
    for _ in range(chance.randint(1, MOST_PLACES)):
        chance.choice(_ON_BYTES)(chance, damaged)
    return bytes(damaged)


def _flip(chance: random.Random, damaged: bytearray) -> None:
    if damaged:
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)


def _cut(chance: random.Random, damaged: bytearray) -> None:
    if damaged:
        first = chance.randrange(len(damaged))
        del damaged[first : first + chance.randint(1, 16)]


def _end(chance: random.Random, damaged: bytearray) -> None:
    del damaged[chance.randrange(len(damaged) + 1) :]


def _insert(chance: random.Random, damaged: bytearray) -> None:
    place = chance.randrange(len(damaged) + 1)
    damaged[place:place] = chance.randbytes(chance.randint(1, 16))


def _double(chance: random.Random, damaged: bytearray) -> None:
    first = chance.randrange(len(damaged) + 1)
    part = damaged[first : first + chance.randint(1, 64)]
    place = chance.randrange(len(damaged) + 1)
    damaged[place:place] = part


def _grow(chance: random.Random, damaged: bytearray) -> None:
    # A varint that never ends, or a length beyond all that follows.
    place = chance.randrange(len(damaged) + 1)
    damaged[place:place] = chance.choice((b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 200))


_ON_BYTES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip,
    _flip,
    _flip,
    _cut,
    _end,
    _insert,
    _double,
    _grow,
)


def of_json(chance: random.Random, whole: Any) -> bytes:
    """A JSON text of `whole` with some damage, to its values or to the text itself."""
    damaged = copy.deepcopy(whole)
    for _ in range(chance.randint(1, 3)):
        damaged = _at_some_place(chance, damaged)
    # Python writes NaN and lone surrogates, as bad clients do.
    text = json.dumps(damaged, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    kind = chance.random()
    if kind < 0.15:
        return of_bytes(chance, text)
    if kind < 0.2:
        return text + text
    if kind < 0.23:
        depth = chance.choice((50, 500, 20_000))
        return b'{"a":' * depth + text + b"}" * depth
    if kind < 0.26:
        return b"[" * 20_000
    return text


def _at_some_place(chance: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        kind = chance.random()
        if kind < 0.1:
            del value[key]
        elif kind < 0.2:
            value[chance.choice(TEXTS)] = value[key]
        else:
            value[key] = _at_some_place(chance, value[key])
        return value
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        value[place] = _at_some_place(chance, value[place])
        return value * 300 if chance.random() < 0.1 else value
    return copy.deepcopy(chance.choice(chance.choice((NUMBERS, TEXTS, OTHERS))))
