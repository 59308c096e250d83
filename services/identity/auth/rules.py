"""The rules of signing in: passwords, sessions and the chain of refresh tokens.

Decides; never hashes a password (that is slow and belongs in a pool), never
reads a clock.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

SHORTEST_PASSWORD = 10
FEWEST_DISTINCT = 5
SESSION_LIFETIME = timedelta(days=180)
LONGEST_IDLE = timedelta(days=30)
RETRY_GRACE = timedelta(seconds=10)
"""How long after a rotation the old token still answers, with the same successor."""
_SECRET_BYTES = 32
_TAG_BYTES = 16
_TOKEN_BYTES = 16 + 16 + _SECRET_BYTES + _TAG_BYTES


class EmailInvalid(Exception):
    """Not an e-mail address."""

    reason: ClassVar[str] = "EMAIL_INVALID"
    field = "email"


class EmailTaken(Exception):
    """There is an account with this address, and the password is not its."""

    reason: ClassVar[str] = "EMAIL_TAKEN"
    field = "email"


class PasswordWeak(Exception):
    """The password is too easy to guess."""

    reason: ClassVar[str] = "PASSWORD_WEAK"
    field = "password"


class CredentialsWrong(Exception):
    """No account with this address and password; which of the two is not said."""

    reason: ClassVar[str] = "CREDENTIALS_WRONG"


class RefreshTokenInvalid(Exception):
    """The token is none of ours, or its session has ended."""

    reason: ClassVar[str] = "REFRESH_TOKEN_INVALID"


class RefreshTokenReused(Exception):
    """A token that had its turn came again: the session is over."""

    reason: ClassVar[str] = "REFRESH_TOKEN_REUSED"


def check_password(password: str, email: str, display_name: str) -> None:
    """Refuses what guessers try first.

    Raises:
        PasswordWeak: says what is wrong with it.
    """
    plain = unicodedata.normalize("NFKC", password).casefold()
    if len(plain) < SHORTEST_PASSWORD:
        raise PasswordWeak(f"at least {SHORTEST_PASSWORD} characters are needed")
    if len(set(plain)) < FEWEST_DISTINCT:
        raise PasswordWeak("too few different characters")
    for known in (email.split("@", maxsplit=1)[0].casefold(), display_name.casefold()):
        if len(known) >= FEWEST_DISTINCT and known in plain:
            raise PasswordWeak("it holds your name or address")


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token: whose, of which session, and the secret that proves it."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    secret: bytes
    tag: bytes
    """Says that the token is of the session's chain; see `is_of`."""

    @property
    def text(self) -> str:
        """As clients keep it: opaque, URL-safe."""
        body = self.user_id.bytes + self.session_id.bytes + self.secret + self.tag
        return base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    @property
    def hash(self) -> bytes:
        """As the store keeps it."""
        return hashlib.sha256(self.secret).digest()

    def successor(self, chain_key: bytes) -> RefreshToken:
        """The next of the chain: the same whenever asked, so a lost answer can be given again."""
        secret = hmac.digest(chain_key, b"next" + self.secret, "sha256")
        return RefreshToken.make(self.user_id, self.session_id, secret, chain_key)

    def is_of(self, chain_key: bytes) -> bool:
        """Whether it ever was a token of that chain, so that nobody ends a session by guessing."""
        return hmac.compare_digest(self.tag, _tag(self.secret, chain_key))

    @classmethod
    def make(
        cls, user_id: uuid.UUID, session_id: uuid.UUID, secret: bytes, chain_key: bytes
    ) -> RefreshToken:
        """The token of that chain with that secret."""
        return cls(user_id, session_id, secret, _tag(secret, chain_key))

    @classmethod
    def parse(cls, text: str) -> RefreshToken:
        """Reads a token.

        Raises:
            RefreshTokenInvalid: it is not of our making.
        """
        try:
            body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise RefreshTokenInvalid from None
        if len(body) != _TOKEN_BYTES:
            raise RefreshTokenInvalid
        secret, tag = body[32:-_TAG_BYTES], body[-_TAG_BYTES:]
        return cls(uuid.UUID(bytes=body[:16]), uuid.UUID(bytes=body[16:32]), secret, tag)


def _tag(secret: bytes, chain_key: bytes) -> bytes:
    return hmac.digest(chain_key, b"tag" + secret, "sha256")[:_TAG_BYTES]


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in session as it is stored."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    chain_key: bytes
    token_hash: bytes
    previous_hash: bytes | None
    rotated_at: datetime
    created_at: datetime
    expires_at: datetime
    ended: bool


def open_session(
    user_id: uuid.UUID, session_id: uuid.UUID, entropy: bytes, now: datetime
) -> tuple[Session, RefreshToken]:
    """A new session and its first refresh token. `entropy` is 64 random bytes."""
    secret, chain_key = entropy[:_SECRET_BYTES], entropy[_SECRET_BYTES:]
    token = RefreshToken.make(user_id, session_id, secret, chain_key)
    session = Session(
        user_id=user_id,
        session_id=session_id,
        chain_key=chain_key,
        token_hash=token.hash,
        previous_hash=None,
        rotated_at=now,
        created_at=now,
        expires_at=now + SESSION_LIFETIME,
        ended=False,
    )
    return session, token


def rotate(session: Session | None, shown: RefreshToken, now: datetime) -> RefreshToken:
    """The successor of the token that was shown.

    Raises:
        RefreshTokenInvalid: the session has ended, or never was.
        RefreshTokenReused: the token had its turn longer ago than the grace.
    """
    if session is None or session.ended or not shown.is_of(session.chain_key):
        raise RefreshTokenInvalid
    if now >= session.expires_at or now - session.rotated_at > LONGEST_IDLE:
        raise RefreshTokenInvalid("the session has expired")
    if hmac.compare_digest(session.token_hash, shown.hash):
        return shown.successor(session.chain_key)
    previous = session.previous_hash or b""
    if hmac.compare_digest(previous, shown.hash) and now - session.rotated_at <= RETRY_GRACE:
        return shown.successor(session.chain_key)
    raise RefreshTokenReused
