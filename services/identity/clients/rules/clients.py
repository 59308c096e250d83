"""Clients: what they are, how many there may be, their secrets."""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import unicodedata
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from services.identity.clients.rules import redirects
from services.identity.clients.rules.errors import (
    ClientHasNoSecret,
    ClientTextInvalid,
    RequestIdReused,
    ScopeUnknown,
)

HOUSE = uuid.UUID(int=0)
"""Whose the service accounts are: nobody's in particular."""
MOST_APPS = 20
"""Of one person."""
MOST_SERVICE_ACCOUNTS = 500
GONE = uuid.UUID(int=1)
"""Whose the apps of erased people are, until what they were granted is over."""
SERVICE_TOKEN_S = 300
"""How long a service account's token lives; there is nothing to renew it with."""
SECRET_BYTES = 32
_PREFIX = "pals_"
"""So that scanners of public code can tell what they have found."""


class Authentication(enum.IntEnum):
    """How a client proves that it is itself; the contract's numbers."""

    NONE = 1
    SECRET = 2
    PRIVATE_KEY_JWT = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody says of a client, cleaned."""

    display_name: str
    about: str
    """An app's homepage; what a service account is for."""
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    authentication: Authentication
    keys: str
    """A JWK set as JSON, public keys only."""

    @property
    def fingerprint(self) -> bytes:
        """32 bytes; two requests are the same where it is the same."""
        texts = (
            self.display_name,
            self.about,
            *(f"u{each}" for each in self.redirect_uris),
            *(f"s{each}" for each in self.scopes),
            str(int(self.authentication)),
            self.keys,
        )
        return hashlib.sha256("".join(f"{len(each)}:{each}" for each in texts).encode()).digest()


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it is stored."""

    hash: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Client:
    """An app or a service account."""

    user_id: uuid.UUID
    """Who answers for it; `HOUSE` of a service account."""
    client_id: uuid.UUID
    told: Wanted
    secrets: tuple[Secret, ...]
    """The newest first, at most two."""
    request_hash: bytes
    version: int
    """Counts its changes; of a service account it is the generation of its tokens too."""
    created_at: datetime
    sector: uuid.UUID = field(default=HOUSE, repr=False)
    """Of whoever answers for it; see `services.identity.oauth.rules.openid`."""
    suspended: bool = False
    """Whether whoever answers for it is blocked."""

    @property
    def is_service(self) -> bool:
        """Whether it calls in its own name."""
        return self.user_id == HOUSE

    @property
    def name(self) -> str:
        """Its resource name."""
        if self.is_service:
            return f"serviceAccounts/{self.client_id}"
        return f"users/{self.user_id}/apps/{self.client_id}"

    def knows(self, secret: str, now: datetime) -> bool:
        """Whether it is a secret of the client that is still good; takes as long if not."""
        shown, found = hash_of(secret), False
        for each in self.secrets:
            same = hmac.compare_digest(each.hash, shown)
            found |= same and (each.expires_at is None or now < each.expires_at)
        return found


def described(
    display_name: str,
    about: str,
    redirect_uris: Iterable[str],
    scopes: Iterable[str],
    authentication: int,
    keys: str,
    *,
    grantable: frozenset[str],
    service: bool,
) -> Wanted:
    """What was said, cleaned.

    Raises:
        ClientTextInvalid, RedirectUriInvalid, ScopeUnknown
    """
    for uri in redirect_uris:
        redirects.check(uri)
    for scope in scopes:
        if scope not in grantable:
            raise ScopeUnknown("scopes", f"there is no {scope} for clients of this kind")
    if not service and about:
        _check_homepage(about)
    return Wanted(
        display_name=_clean("display_name", display_name),
        about=_clean("purpose", about) if service else about,
        redirect_uris=tuple(dict.fromkeys(redirect_uris)),
        scopes=tuple(sorted(set(scopes))),
        authentication=Authentication(authentication),
        keys=keys,
    )


def repeated(wanted: Client, found: Client) -> Client:
    """The client that a repeat of a request answers with.

    Raises:
        RequestIdReused: the first request said something else.
    """
    if not hmac.compare_digest(found.request_hash, wanted.request_hash):
        raise RequestIdReused("it was used for another client")
    return found


def check_has_secret(client: Client) -> None:
    """Refuses to make a secret for a client that never shows one.

    Raises:
        ClientHasNoSecret
    """
    if client.told.authentication is not Authentication.SECRET:
        raise ClientHasNoSecret


def secret_text(entropy: bytes) -> str:
    """A secret as clients keep it, of 32 random bytes."""
    return _PREFIX + base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()


def hash_of(secret: str) -> bytes:
    """A secret as the store keeps it: it is random, so that a plain hash does."""
    return hashlib.sha256(secret.encode()).digest()


def _check_homepage(uri: str) -> None:
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise ClientTextInvalid("homepage_uri", "is no address") from None
    clean = uri.isascii() and uri.isprintable() and not set(uri) & set(" <>\"'\\`")
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or not clean:
        raise ClientTextInvalid("homepage_uri", "is no https address")


def _clean(name: str, text: str) -> str:
    """The text in NFC, with single spaces."""
    cleaned = " ".join(unicodedata.normalize("NFC", text).split())
    if not cleaned:
        raise ClientTextInvalid(name, "is empty")
    if any(unicodedata.category(each) in ("Cc", "Cf", "Co", "Cs", "Cn") for each in cleaned):
        raise ClientTextInvalid(name, "has characters that do not show")
    return cleaned
