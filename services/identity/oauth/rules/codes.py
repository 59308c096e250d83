"""Authorisation codes and the cookies of browsers: random, told once, stored as hashes."""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.identity.oauth.rules.errors import BrowserSignedOut, GrantInvalid
from services.identity.oauth.rules.requests import Asked

CODE_LIFETIME = timedelta(seconds=60)
CODE_REMEMBERED = timedelta(days=1)
"""How long a second use of a code is told from a code that never was."""
MOST_CODES = 30
"""Of one person, in `CODE_REMEMBERED`."""
MOST_GRANTS = 200
"""Of one person."""
ENDED_GRANTS_KEPT = timedelta(days=30)
"""How long a grant is shown whose app is gone."""
CONSENT_FRESH = timedelta(hours=1)
"""How old a sign-in may be by which one agrees to something new."""
READING = timedelta(minutes=10)
"""For reading what one agrees to."""
BROWSER_LIFETIME = timedelta(days=14)
MOST_BROWSERS = 20
"""Of one person; the oldest goes first."""
SECRET_BYTES = 32
_TOKEN_BYTES = 16 + 16 + SECRET_BYTES
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a code and a cookie are: whose, which, and the secret that proves it."""

    user_id: uuid.UUID
    id: uuid.UUID
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """As it travels: opaque, URL-safe."""
        body = self.user_id.bytes + self.id.bytes + self.secret
        return base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    @property
    def hash(self) -> bytes:
        """As the store keeps it."""
        return hashlib.sha256(self.secret).digest()

    @classmethod
    def parse(cls, text: str) -> Ticket | None:
        """Reads one; None where it is not of our making."""
        try:
            body = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except ValueError:
            return None
        if len(body) != _TOKEN_BYTES:
            return None
        return cls(uuid.UUID(bytes=body[:16]), uuid.UUID(bytes=body[16:32]), body[32:])


@dataclass(frozen=True, slots=True)
class Code:
    """An authorisation code as it is stored."""

    user_id: uuid.UUID
    code_id: uuid.UUID
    secret_hash: bytes = field(repr=False)
    client_id: uuid.UUID
    redirect_uri: str
    """What the app has to say again; empty where it said nothing."""
    scopes: tuple[str, ...]
    challenge: str
    amr: tuple[str, ...]
    proved_at: datetime
    created_at: datetime
    nonce: str = ""
    """For the ID token; empty where the app gave none."""
    used: bool = False


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser that is signed in for the pages of authorisation."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    secret_hash: bytes = field(repr=False)
    amr: tuple[str, ...]
    proved_at: datetime
    expires_at: datetime
    display_name: str = ""


class GrantState(enum.IntEnum):
    """Whether an app can use a grant, and why not; the contract's numbers."""

    ACTIVE = 1
    SUSPENDED = 2
    ENDED = 3


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person lets an app do."""

    user_id: uuid.UUID
    client_id: uuid.UUID
    app_name: str
    homepage: str
    scopes: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    """When the app came to its end."""
    suspended: bool = False
    """Whether who answers for the app is blocked."""

    @property
    def state(self) -> GrantState:
        """Whether the app can use it."""
        if self.ended_at is not None:
            return GrantState.ENDED
        return GrantState.SUSPENDED if self.suspended else GrantState.ACTIVE


def new_code(asked: Asked, browser: Browser, ticket: Ticket, now: datetime) -> Code:
    """The code that a person's yes gives."""
    return Code(
        user_id=browser.user_id,
        code_id=ticket.id,
        secret_hash=ticket.hash,
        client_id=asked.client.client_id,
        redirect_uri=asked.redirect_uri if asked.told_redirect_uri else "",
        scopes=asked.scopes,
        challenge=asked.challenge,
        amr=browser.amr,
        proved_at=browser.proved_at,
        created_at=now,
        nonce=asked.nonce,
    )


def check_code(
    code: Code | None,
    ticket: Ticket,
    client_id: uuid.UUID,
    redirect_uri: str,
    verifier: str,
    now: datetime,
) -> Code:
    """The code, where it is this client's and proved; whether it was used is asked after.

    Raises:
        GrantInvalid: it is not; which of it is not told.
    """
    if code is None or not hmac.compare_digest(code.secret_hash, ticket.hash):
        raise GrantInvalid
    if code.client_id != client_id or code.redirect_uri not in ("", redirect_uri):
        raise GrantInvalid
    if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(
        challenge_of(verifier), code.challenge
    ):
        raise GrantInvalid
    if not code.used and now - code.created_at > CODE_LIFETIME:
        raise GrantInvalid
    return code


def check_browser(browser: Browser | None, ticket: Ticket, now: datetime) -> Browser:
    """The browser, where the cookie is its own.

    Raises:
        BrowserSignedOut
    """
    if browser is None or not hmac.compare_digest(browser.secret_hash, ticket.hash):
        raise BrowserSignedOut
    if now >= browser.expires_at:
        raise BrowserSignedOut
    return browser


def challenge_of(verifier: str) -> str:
    """S256 (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
