"""The rules of signing in with the shop: what an answer of its must say to be believed.

Decides; checks no signature, reads no clock. What cannot be believed is refused with one
reason; which part it was stands in the exception's text, for the log.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

ATTEMPT_LIFETIME = timedelta(minutes=10)
LOGOUT_REMEMBERED = timedelta(minutes=10)
"""Longer than a sign-in may wait for its second factor."""
UNKNOWN_AGE = timedelta(days=1)
"""How old a sign-in counts as where the shop does not say when it was: nothing that asks for a
fresh one takes it."""
LEEWAY_S = 30
LOGOUT_LIFETIME_S = 300
LONGEST_SUBJECT = 255
"""OpenID Connect Core §2."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
NAMELESS = "Athlete"
"""What those are called whose name stays in the shop, until they say another."""


class SsoOff(Exception):
    """No shop is set up."""

    reason: ClassVar[str] = "SSO_OFF"


class SsoStateInvalid(Exception):
    """Not begun by who ends it, over, or ended before."""

    reason: ClassVar[str] = "SSO_STATE_INVALID"


class SsoRedirectInvalid(Exception):
    """The operator named no such address to come back to."""

    reason: ClassVar[str] = "REDIRECT_URI_INVALID"
    field = "redirect_uri"


class SsoRefused(Exception):
    """The shop said no, or what it said cannot be believed."""

    reason: ClassVar[str] = "SSO_REFUSED"


class SsoUnavailable(Exception):
    """The shop does not answer as it should."""

    reason: ClassVar[str] = "SSO_UNAVAILABLE"
    retry_after_s = 2.0


class SsoLinkNeeded(Exception):
    """There is an account with the address that the shop has seen to be the person's."""

    reason: ClassVar[str] = "SSO_LINK_NEEDED"


class SsoLinkTaken(Exception):
    """The subject or the account is linked otherwise."""

    reason: ClassVar[str] = "SSO_LINK_TAKEN"


class SsoNotLinked(Exception):
    """Nothing can be read of somebody who is not linked."""

    reason: ClassVar[str] = "SSO_NOT_LINKED"


class SsoOnlyWayIn(Exception):
    """Without the link nobody could sign in to the account."""

    reason: ClassVar[str] = "SSO_ONLY_WAY_IN"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that was begun: what only its two ends know."""

    state: str = field(repr=False)
    """Travels through the browser."""
    binding: str = field(repr=False)
    """Stays with who began."""
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def of(cls, entropy: bytes) -> Attempt:
        """Four times 32 random bytes."""
        return cls(*(_text(entropy[at : at + 32]) for at in range(0, 128, 32)))

    @property
    def challenge(self) -> str:
        """S256 of the verifier (RFC 7636)."""
        return _text(digest(self.verifier))


@dataclass(frozen=True, slots=True)
class Link:
    """Which of our accounts a subject of the shop is."""

    user_id: uuid.UUID
    issuer: str
    subject: str
    tokens: bytes | None = field(repr=False)
    """The shop's tokens, sealed."""


@dataclass(frozen=True, slots=True)
class Identified:
    """Who came back from the shop."""

    subject: str
    sid: str
    """The shop's session; empty where it does not tell."""
    auth_time: datetime | None
    """When the person proved himself there; None where it does not tell."""
    email: str = field(repr=False)
    """Only where the shop has seen that it is the person's."""
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Arrival:
    """That somebody came back from the shop: what a later logout there may be about."""

    issuer: str
    subject: str
    sid: str
    """Empty where the shop does not tell."""
    at: datetime

    @property
    def told(self) -> dict[str, str]:
        """As it travels in a ticket."""
        return {
            "shop": self.issuer,
            "shop_subject": self.subject,
            "shop_sid": self.sid,
            "shop_at": self.at.isoformat(),
        }

    @classmethod
    def read(cls, told: Mapping[str, str]) -> Arrival:
        """The one of a ticket."""
        at = datetime.fromisoformat(told["shop_at"])
        return cls(told["shop"], told["shop_subject"], told["shop_sid"], at)


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """Whom a logout token is about: a session, or all of a subject's."""

    subject: str
    sid: str
    jti_hash: bytes
    expires_at: datetime


def digest(text: str) -> bytes:
    """32 bytes, as the store keeps what only its holder may know."""
    return hashlib.sha256(text.encode()).digest()


def identified(
    claims: Mapping[str, Any], issuer: str, client_id: str, nonce: str, now: datetime
) -> Identified:
    """Who an ID token says came (OpenID Connect Core §3.1.3.7).

    Raises:
        SsoRefused: it is not for us, not of now, or not of this attempt.
    """
    _for_us(claims, issuer, client_id)
    at_s = now.timestamp()
    if _seconds(claims, "exp") <= at_s - LEEWAY_S or _seconds(claims, "iat") > at_s + LEEWAY_S:
        raise SsoRefused("the ID token is not of now")
    shown = claims.get("nonce")
    if not isinstance(shown, str) or not hmac.compare_digest(shown.encode(), nonce.encode()):
        raise SsoRefused("the nonce is not this sign-in's")
    verified = claims.get("email_verified") is True
    return Identified(
        subject=_subject(claims),
        sid=_word(claims, "sid"),
        auth_time=_auth_time(claims, now),
        email=_word(claims, "email") if verified else "",
        name=_word(claims, "name"),
    )


def proved_at(who: Identified, asked_at: datetime | None, now: datetime) -> datetime:
    """When a person proved himself in the shop, who was asked anew at `asked_at`, or not.

    Raises:
        SsoRefused: he was asked anew, and the shop does not say that he did it.
    """
    if asked_at is None:
        return now - UNKNOWN_AGE if who.auth_time is None else who.auth_time
    # It has to tell where a greatest age is asked for (OpenID Connect Core §3.1.2.1).
    if who.auth_time is None or who.auth_time < asked_at - timedelta(seconds=LEEWAY_S):
        raise SsoRefused("the shop did not ask the person anew")
    return who.auth_time


def _auth_time(claims: Mapping[str, Any], now: datetime) -> datetime | None:
    if claims.get("auth_time") is None:
        return None
    return min(now, datetime.fromtimestamp(_seconds(claims, "auth_time"), now.tzinfo))


def logged_out(claims: Mapping[str, Any], issuer: str, client_id: str, now: datetime) -> LoggedOut:
    """Whom a logout token is about (Back-Channel Logout 1.0 §2.6).

    Raises:
        SsoRefused: it is none of ours.
    """
    _for_us(claims, issuer, client_id)
    issued_s = _seconds(claims, "iat")
    expires_s = _seconds(claims, "exp") if "exp" in claims else issued_s + LOGOUT_LIFETIME_S
    expires_s = min(expires_s, issued_s + LOGOUT_LIFETIME_S)
    at_s = now.timestamp()
    if not issued_s - LEEWAY_S <= at_s < expires_s + LEEWAY_S:
        raise SsoRefused("the logout token is not of now")
    events = claims.get("events")
    if not isinstance(events, Mapping) or not isinstance(events.get(LOGOUT_EVENT), Mapping):
        raise SsoRefused("the token tells of no logout")
    if "nonce" in claims:
        raise SsoRefused("an ID token is no logout token")
    jti, sid = _word(claims, "jti"), _word(claims, "sid")
    subject = _subject(claims) if "sub" in claims else ""
    if not jti or not (sid or subject):
        raise SsoRefused("the logout token names nobody, or has no jti")
    expires_at = datetime.fromtimestamp(expires_s + LEEWAY_S, now.tzinfo)
    return LoggedOut(subject, sid, digest(jti), expires_at)


def check_issuer(told: str, issuer: str) -> None:
    """Refuses what another server sent the person back with (RFC 9207: mix-up).

    Raises:
        SsoRefused
    """
    if told and told != issuer:
        raise SsoRefused("the answer is another server's")


def _for_us(claims: Mapping[str, Any], issuer: str, client_id: str) -> None:
    audience = claims.get("aud")
    told = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != issuer or client_id not in told:
        raise SsoRefused("the token is another server's, or for another client")
    party = claims.get("azp")
    if (len(told) > 1 or party is not None) and party != client_id:
        raise SsoRefused("the token was made for another client")


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise SsoRefused("the token names nobody")
    if not subject.isascii() or not subject.isprintable():
        raise SsoRefused("the token names nobody")
    return subject


def _word(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    return value if isinstance(value, str) and len(value) <= LONGEST_SUBJECT else ""


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        raise SsoRefused(f"{name} is no time")
    return float(value)


def _text(random: bytes) -> str:
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()
