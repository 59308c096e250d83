"""Passwords that guessers try first."""

from __future__ import annotations

import pytest

from services.identity.auth import rules


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "10 characters"),
        ("aaaaaaaaaaaaaaaa", "different characters"),
        ("veraveravera1234", "name or address"),
        ("xxANNAPAVLOVAxx", "name or address"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(password: str, why: str) -> None:
    with pytest.raises(rules.PasswordWeak, match=why):
        rules.check_password(password, "annapavlova@example.com", "veravera")


def test_a_long_unrelated_password_passes() -> None:
    rules.check_password("correct horse battery", "vera@example.com", "Vera")
