"""Answers joined from messages that are stored serialised: no parsing, no building.

A message is its fields one after another, so a list is the stored messages with
their tags and lengths before them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

MOST_KNOWN = 8_192
"""The lengths below this are not computed anew each time: rows of a list are of a kind."""


def varint(value: int) -> bytes:
    """An unsigned base-128 varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def embed(number: int, messages: Iterable[bytes]) -> bytes:
    """The length-delimited field `number`, once for each of `messages`."""
    tag = varint(number << 3 | 2)
    parts: list[bytes] = []
    for message in messages:
        length = len(message)
        parts.append(_heads(tag, length) if length < MOST_KNOWN else tag + varint(length))
        parts.append(message)
    return b"".join(parts)


@lru_cache(maxsize=1 << 14)
def _heads(tag: bytes, length: int) -> bytes:
    return tag + varint(length)
