"""The chain of refresh tokens, and what is remembered of a device."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.identity.sessions import rules

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
USER, SESSION = uuid.UUID(int=1), uuid.UUID(int=2)
OPENING = rules.Opening(USER, frozenset({"pwd"}))
CHAIN = (b"n" * 32, b"o" * 32)
"""The session's derived keys: of the newest key of the deployment, and of the one before."""
SESSION_ROW, FIRST = rules.open_session(OPENING, SESSION, CHAIN[0], bytes(range(32)), NOW)
OLD_KEY = b"k" * 32
OLD_FIRST = rules.RefreshToken.make(USER, SESSION, bytes(range(32)), OLD_KEY)
OLD_ROW = replace(SESSION_ROW, chain_key=OLD_KEY)
"""A session from before the keys were derived."""


def moved_on(
    session: rules.Session,
    token: rules.RefreshToken,
    at: datetime,
    chain: tuple[bytes, ...] = CHAIN,
) -> tuple[rules.Session, rules.RefreshToken]:
    """The session after the token had its turn, and the next token."""
    successor = rules.rotate(session, token, chain, at)
    row = replace(
        session, token_hash=successor.hash, previous_hash=session.token_hash, rotated_at=at
    )
    return row, successor


def test_a_token_reads_back_as_it_was() -> None:
    assert rules.RefreshToken.parse(FIRST.text) == FIRST


@pytest.mark.parametrize("text", ["", "x", "!!!", FIRST.text[:-2], FIRST.text + "AAAA", "é" * 20])
def test_what_is_no_token_of_ours_is_refused(text: str) -> None:
    with pytest.raises(rules.RefreshTokenInvalid):
        rules.RefreshToken.parse(text)


def test_each_token_has_one_successor_however_often_it_is_asked_for() -> None:
    assert len({rules.rotate(SESSION_ROW, FIRST, CHAIN, NOW).text for _ in range(50)}) == 1


def test_a_lost_answer_is_given_again_within_the_grace() -> None:
    row, second = moved_on(SESSION_ROW, FIRST, NOW)
    assert rules.rotate(row, FIRST, CHAIN, NOW + rules.RETRY_GRACE) == second


def test_after_the_grace_the_old_token_is_a_stolen_one() -> None:
    row, _ = moved_on(SESSION_ROW, FIRST, NOW)
    with pytest.raises(rules.RefreshTokenReused):
        rules.rotate(row, FIRST, CHAIN, NOW + rules.RETRY_GRACE + timedelta(seconds=1))


def test_an_older_token_is_stolen_even_within_the_grace() -> None:
    row, second = moved_on(SESSION_ROW, FIRST, NOW)
    row, _ = moved_on(row, second, NOW)
    with pytest.raises(rules.RefreshTokenReused):
        rules.rotate(row, FIRST, CHAIN, NOW)


def test_a_made_up_token_ends_nobodys_session() -> None:
    made_up = rules.RefreshToken(USER, SESSION, b"s" * 32, b"t" * 16)
    with pytest.raises(rules.RefreshTokenInvalid):
        rules.rotate(SESSION_ROW, made_up, CHAIN, NOW)


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
        rules.rotate(row, FIRST, CHAIN, at)


def test_the_store_never_sees_the_secret() -> None:
    assert FIRST.secret != SESSION_ROW.token_hash
    assert SESSION_ROW.chain_key is None
    assert FIRST.hash == SESSION_ROW.token_hash


def test_sessions_of_before_go_on_and_their_older_tokens_are_still_told() -> None:
    assert not rules.is_of_chain(OLD_FIRST, CHAIN, None)
    assert rules.is_of_chain(OLD_FIRST, CHAIN, OLD_ROW)
    row, second = moved_on(OLD_ROW, OLD_FIRST, NOW)
    assert rules.is_of_chain(second, CHAIN, None)
    assert rules.rotate(row, OLD_FIRST, CHAIN, NOW + rules.RETRY_GRACE) == second
    row, _ = moved_on(row, second, NOW)
    with pytest.raises(rules.RefreshTokenReused):
        rules.rotate(row, OLD_FIRST, CHAIN, NOW)


def test_an_answer_of_before_is_given_again_as_it_was() -> None:
    given = OLD_FIRST.successor(OLD_KEY)
    row = replace(OLD_ROW, token_hash=given.hash, previous_hash=OLD_FIRST.hash)
    assert rules.rotate(row, OLD_FIRST, CHAIN, NOW) == given


def test_a_chain_goes_on_where_the_deployments_key_was_turned() -> None:
    row, second = moved_on(SESSION_ROW, FIRST, NOW, CHAIN)
    turned = (b"m" * 32, *CHAIN)
    assert rules.rotate(row, FIRST, turned, NOW) == second
    row, third = moved_on(row, second, NOW, turned)
    assert third.is_of(turned[0])
    with pytest.raises(rules.RefreshTokenReused):
        rules.rotate(row, FIRST, turned, NOW)


def test_a_key_that_is_gone_tells_no_token() -> None:
    with pytest.raises(rules.RefreshTokenInvalid):
        rules.rotate(SESSION_ROW, FIRST, (b"m" * 32,), NOW)
