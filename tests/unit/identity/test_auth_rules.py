"""Passwords that guessers try first, and the chain of refresh tokens."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.identity.auth import rules

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
USER, SESSION = uuid.UUID(int=1), uuid.UUID(int=2)
SESSION_ROW, FIRST = rules.open_session(USER, SESSION, bytes(range(64)), NOW)


def moved_on(
    session: rules.Session, token: rules.RefreshToken, at: datetime
) -> tuple[rules.Session, rules.RefreshToken]:
    """The session after the token had its turn, and the next token."""
    successor = rules.rotate(session, token, at)
    row = replace(
        session, token_hash=successor.hash, previous_hash=session.token_hash, rotated_at=at
    )
    return row, successor


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


def test_a_token_reads_back_as_it_was() -> None:
    assert rules.RefreshToken.parse(FIRST.text) == FIRST


@pytest.mark.parametrize("text", ["", "x", "!!!", FIRST.text[:-2], FIRST.text + "AAAA", "é" * 20])
def test_what_is_no_token_of_ours_is_refused(text: str) -> None:
    with pytest.raises(rules.RefreshTokenInvalid):
        rules.RefreshToken.parse(text)


def test_each_token_has_one_successor_however_often_it_is_asked_for() -> None:
    assert len({rules.rotate(SESSION_ROW, FIRST, NOW).text for _ in range(50)}) == 1


def test_a_lost_answer_is_given_again_within_the_grace() -> None:
    row, second = moved_on(SESSION_ROW, FIRST, NOW)
    assert rules.rotate(row, FIRST, NOW + rules.RETRY_GRACE) == second


def test_after_the_grace_the_old_token_is_a_stolen_one() -> None:
    row, _ = moved_on(SESSION_ROW, FIRST, NOW)
    with pytest.raises(rules.RefreshTokenReused):
        rules.rotate(row, FIRST, NOW + rules.RETRY_GRACE + timedelta(seconds=1))


def test_an_older_token_is_stolen_even_within_the_grace() -> None:
    row, second = moved_on(SESSION_ROW, FIRST, NOW)
    row, _ = moved_on(row, second, NOW)
    with pytest.raises(rules.RefreshTokenReused):
        rules.rotate(row, FIRST, NOW)


def test_a_made_up_token_ends_nobodys_session() -> None:
    made_up = rules.RefreshToken(USER, SESSION, b"s" * 32, b"t" * 16)
    with pytest.raises(rules.RefreshTokenInvalid):
        rules.rotate(SESSION_ROW, made_up, NOW)


@pytest.mark.parametrize(
    ("row", "at"),
    [
        (None, NOW),
        (replace(SESSION_ROW, ended=True), NOW),
        (SESSION_ROW, NOW + rules.LONGEST_IDLE + timedelta(seconds=1)),
        (replace(SESSION_ROW, expires_at=NOW), NOW),
    ],
)
def test_an_ended_or_expired_session_gives_no_token(
    row: rules.Session | None, at: datetime
) -> None:
    with pytest.raises(rules.RefreshTokenInvalid):
        rules.rotate(row, FIRST, at)


def test_the_store_never_sees_the_secret() -> None:
    assert FIRST.secret not in (SESSION_ROW.token_hash, SESSION_ROW.chain_key)
    assert FIRST.hash == SESSION_ROW.token_hash
