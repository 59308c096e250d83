"""The rules of sessions: the chain of refresh tokens, how long it lives, what it remembers.

Decides; never reads a clock, never makes randomness. A session is proved by ways of
authentication (`amr`, RFC 8176) at a time, which a later proof renews.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from services.identity.roles.rules import SECOND_FACTOR, Held, at_work

FIRST_PARTY = "palestra-app"
"""The client of the product's own apps."""
SESSION_LIFETIME = timedelta(days=180)
LONGEST_IDLE = timedelta(days=30)
RETRY_GRACE = timedelta(seconds=10)
"""How long after a rotation the old token still answers, with the same successor."""
MOST_SESSIONS = 50
"""Of a person with one app at once; one more ends the longest idle."""
MOST_ENDED_KEPT = 100
ENDED_KEPT = timedelta(days=90)
_SECRET_BYTES = 32
_TAG_BYTES = 16
_TOKEN_BYTES = 16 + 16 + _SECRET_BYTES + _TAG_BYTES


class RefreshTokenInvalid(Exception):
    """The token is none of ours, or its session has ended."""

    reason: ClassVar[str] = "REFRESH_TOKEN_INVALID"


class RefreshTokenReused(Exception):
    """A token that had its turn came again: the session is over."""

    reason: ClassVar[str] = "REFRESH_TOKEN_REUSED"


class AccountBlocked(Exception):
    """An administrator has blocked the account; said only to who proved himself."""

    reason: ClassVar[str] = "ACCOUNT_BLOCKED"


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
class DeviceHint:
    """What is kept of the device that a session lives on: little, and coarse."""

    name: str = ""
    """`Firefox on Windows`; empty where nothing is known."""
    network: str = ""
    """`203.0.113.0/24`, `2001:db8:1::/48`; empty where nothing is known."""


NOWHERE = DeviceHint()


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in session as it is stored."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    chain_key: bytes | None
    """Of sessions from before chains were derived: what tells their older tokens."""
    token_hash: bytes
    previous_hash: bytes | None
    rotated_at: datetime
    created_at: datetime
    expires_at: datetime
    ended: bool
    amr: tuple[str, ...]
    """How the person proved himself (RFC 8176)."""
    proved_at: datetime
    """When he last did."""
    client_id: str
    scopes: tuple[str, ...] | None
    """What its tokens may do; None is all that the product's own apps may."""
    device: DeviceHint
    generation: int = 0
    """Of the person's tokens, as it was when the session was read."""
    blocked: bool = False
    """Whether the person may not sign in, likewise."""
    held: tuple[Held, ...] = ()
    """His roles, likewise."""
    has_factor: bool = False
    """Whether who has a role has a second factor, likewise."""

    def roles(self, now: datetime) -> tuple[Held, ...]:
        """What its tokens say of roles: nothing but where a second factor proved it.

        Nothing to apps of others, whatever they were granted.
        """
        is_own = self.client_id == FIRST_PARTY and self.scopes is None
        if not is_own or not self.has_factor or SECOND_FACTOR not in self.amr:
            return ()
        return at_work(self.held, now)

    def wants_factor(self, now: datetime) -> bool:
        """Whether the person has a role that is not at work for want of a second factor."""
        return bool(at_work(self.held, now)) and not self.roles(now)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a session is opened with."""

    user_id: uuid.UUID
    amr: frozenset[str]
    client_id: str = FIRST_PARTY
    scopes: frozenset[str] | None = None
    device: DeviceHint = NOWHERE
    proved_at: datetime | None = None
    """When the person proved himself; None is now."""


def open_session(
    opening: Opening, session_id: uuid.UUID, chain_key: bytes, secret: bytes, now: datetime
) -> tuple[Session, RefreshToken]:
    """A new session and its first refresh token. `secret` is 32 random bytes."""
    token = RefreshToken.make(opening.user_id, session_id, secret, chain_key)
    session = Session(
        user_id=opening.user_id,
        session_id=session_id,
        chain_key=None,
        token_hash=token.hash,
        previous_hash=None,
        rotated_at=now,
        created_at=now,
        expires_at=now + SESSION_LIFETIME,
        ended=False,
        amr=tuple(sorted(opening.amr)),
        proved_at=opening.proved_at or now,
        client_id=opening.client_id,
        scopes=None if opening.scopes is None else tuple(sorted(opening.scopes)),
        device=opening.device,
    )
    return session, token


def is_of_chain(shown: RefreshToken, chain: tuple[bytes, ...], session: Session | None) -> bool:
    """Whether the token ever was one of the session's.

    `chain` are its derived keys; a session from before they were has one of its own as well.
    """
    if session is not None and session.chain_key is not None:
        chain = (*chain, session.chain_key)
    return any(shown.is_of(key) for key in chain)


def rotate(
    session: Session | None, shown: RefreshToken, chain: tuple[bytes, ...], now: datetime
) -> RefreshToken:
    """The successor of the token that was shown. `chain` are the session's derived keys.

    Raises:
        RefreshTokenInvalid: the session has ended, or never was.
        RefreshTokenReused: the token had its turn longer ago than the grace.
        AccountBlocked: the person may not be signed in now.
    """
    if session is None or session.ended or not is_of_chain(shown, chain, session):
        raise RefreshTokenInvalid
    if now >= session.expires_at or now - session.rotated_at > LONGEST_IDLE:
        raise RefreshTokenInvalid("the session has expired")
    if session.blocked:
        raise AccountBlocked
    if hmac.compare_digest(session.token_hash, shown.hash):
        return shown.successor(chain[0])
    previous = session.previous_hash or b""
    if hmac.compare_digest(previous, shown.hash) and now - session.rotated_at <= RETRY_GRACE:
        # The very one that was given, also where the deployment's key was turned meanwhile.
        for key in (*chain, session.chain_key or chain[0]):
            if hmac.compare_digest(session.token_hash, shown.successor(key).hash):
                return shown.successor(key)
    raise RefreshTokenReused
