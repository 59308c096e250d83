"""When signing keys are made, used and forgotten.

A key is published for a while before it signs, so that everyone who verifies
knows it by then, and stays published while tokens that it signed may live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SIGNS_FOR = timedelta(days=7)
PUBLISHED_AHEAD = timedelta(hours=1)
PUBLISHED_AFTER = timedelta(hours=1)
"""Longer than any access token lives."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair."""

    key_id: str
    private_key: bytes
    """32 bytes (RFC 8032's seed)."""
    public_key: bytes
    """32 bytes."""
    published_at: datetime


def signer(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The key to sign with: the newest that was published long enough.

    Where none was, the oldest: at the very first start nobody knows any key yet.
    """
    ripe = [key for key in keys if now - key.published_at >= PUBLISHED_AHEAD]
    if ripe:
        return max(ripe, key=lambda key: (key.published_at, key.key_id))
    return min(keys, key=lambda key: (key.published_at, key.key_id), default=None)


def published(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """The keys whose tokens may be met, the newest first."""
    oldest = now - (SIGNS_FOR + PUBLISHED_AHEAD + PUBLISHED_AFTER)
    signing = signer(keys, now)
    found = [key for key in keys if key.published_at >= oldest or key is signing]
    return sorted(found, key=lambda key: (key.published_at, key.key_id), reverse=True)


def new_key_is_due(keys: Sequence[SigningKey], now: datetime) -> bool:
    """Whether the next key should be published."""
    newest = max((key.published_at for key in keys), default=None)
    return newest is None or now - newest >= SIGNS_FOR
