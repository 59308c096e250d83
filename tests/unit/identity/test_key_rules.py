"""Signing keys: published before they sign, and after, while their tokens live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.identity.keys.rules import (
    PUBLISHED_AFTER,
    PUBLISHED_AHEAD,
    SIGNS_FOR,
    SigningKey,
    new_key_is_due,
    published,
    signer,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def key(name: str, at: datetime) -> SigningKey:
    return SigningKey(name, b"", b"", at)


def test_the_first_key_signs_at_once() -> None:
    assert signer([key("a", NOW)], NOW) == key("a", NOW)


def test_a_new_key_is_published_before_it_signs() -> None:
    old, new = key("a", NOW - timedelta(days=7)), key("b", NOW)
    assert signer([old, new], NOW) == old
    assert published([old, new], NOW) == [new, old]
    assert signer([old, new], NOW + PUBLISHED_AHEAD) == new


def test_without_keys_one_is_due_and_nobody_signs() -> None:
    assert new_key_is_due([], NOW)
    assert signer([], NOW) is None


@given(st.integers(0, 60 * 24 * 60))
def test_a_key_that_signed_is_published_while_its_tokens_live(minutes: int) -> None:
    """Keys turn once a week, as the job does it; at every minute of two months."""
    now = NOW + timedelta(minutes=minutes)
    weeks = range(minutes // (7 * 24 * 60) + 1)
    keys = [key(str(week), NOW + week * SIGNS_FOR) for week in weeks]
    shown = published(keys, now)
    for back in (timedelta(0), PUBLISHED_AFTER):
        signed_by = signer([each for each in keys if each.published_at <= now - back], now - back)
        assert signed_by is None or signed_by in shown
