"""The ids of people and things.

A user id is a UUIDv8 of time, home region, shard and randomness, so that any
service knows where a person lives without asking. Everything else is a UUIDv7.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid

_VERSION_7 = 0x7 << 76
_VERSION_8 = 0x8 << 76
_VARIANT = 0x2 << 62
SHARDS = 1 << 12


def uuid7(at_ms: int | None = None) -> uuid.UUID:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, 74 of randomness."""
    random = int.from_bytes(os.urandom(10), "big")
    milliseconds = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    high = milliseconds << 80 | _VERSION_7 | (random >> 62 & 0xFFF) << 64
    return uuid.UUID(int=high | _VARIANT | random & (1 << 62) - 1)


def user_id(region: int, at_ms: int | None = None) -> uuid.UUID:
    """A new person's id: 48 bits of ms, 12 of shard, 8 of region, 54 of randomness.

    Raises:
        ValueError: the region is not within 0 to 255.
    """
    if not 0 <= region <= 255:
        raise ValueError(f"region {region} is not within 0 to 255")
    random = int.from_bytes(os.urandom(9), "big")
    milliseconds = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    shard = random >> 54 & SHARDS - 1
    high = milliseconds << 80 | _VERSION_8 | shard << 64
    return uuid.UUID(int=high | _VARIANT | region << 54 | random & (1 << 54) - 1)


def region_of(user: uuid.UUID) -> int:
    """The home region of a person, 0 to 255."""
    return user.int >> 54 & 0xFF


def shard_of(user: uuid.UUID) -> int:
    """The shard of a person, 0 to 4095."""
    return user.int >> 64 & SHARDS - 1


def keyed_id(user: uuid.UUID, method: str, request_id: str) -> uuid.UUID:
    """The id of what a KEYED method makes: the same for each repeat of a request."""
    digest = hashlib.sha256(f"{user}\0{method}\0{request_id}".encode()).digest()
    value = int.from_bytes(digest[:16], "big")
    value = value & ~(0xF << 76) | _VERSION_8
    return uuid.UUID(int=value & ~(0x3 << 62) | _VARIANT)
