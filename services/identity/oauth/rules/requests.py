"""An app's request to the authorisation endpoint (OAuth 2.1 §4.1.1), read in two steps.

First who asks and where to send people: as long as that is in doubt, nobody is sent
anywhere. Then the rest, of which the app hears by redirect.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit, urlunsplit

from services.identity.clients.rules import redirects
from services.identity.clients.rules.clients import Authentication, Client
from services.identity.oauth.rules.errors import RequestRefused, SentBack

LONGEST_STATE = 1024
LONGEST_NONCE = 255
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be granted."""

    client: Client
    redirect_uri: str
    """Where the person goes back to."""
    told_redirect_uri: bool
    """Whether the app said so, and has to say it again at the token endpoint."""
    state: str
    scopes: tuple[str, ...]
    challenge: str
    """The S256 code challenge (RFC 7636)."""
    prompts: frozenset[str]
    max_age: timedelta | None
    nonce: str
    """For the ID token; empty where there is none."""

    def is_fresh(self, proved_at: datetime, now: datetime) -> bool:
        """Whether the person proved himself lately enough."""
        return self.max_age is None or now - proved_at <= self.max_age

    @property
    def may_be_remembered(self) -> bool:
        """Whether an earlier yes can stand for one now.

        Not where another program on the person's machine could pose as the app (RFC 8252 §8.6).
        """
        secret = self.client.told.authentication is not Authentication.NONE
        return secret or self.redirect_uri.startswith("https://")


def once(pairs: Pairs, name: str) -> str:
    """A parameter's value; empty where there is none.

    Raises:
        RequestRefused: it came twice.
    """
    found = [value for each, value in pairs if each == name]
    if len(found) > 1:
        raise RequestRefused(f"{name} came twice")
    return found[0] if found else ""


def client_id(pairs: Pairs) -> uuid.UUID:
    """Who asks.

    Raises:
        RequestRefused: that cannot be read.
    """
    try:
        return uuid.UUID(once(pairs, "client_id"))
    except ValueError:
        raise RequestRefused("client_id is not one of ours") from None


def way_back(pairs: Pairs, client: Client | None) -> str:
    """Where the person may be sent: an address that the app registered.

    Raises:
        RequestRefused: it did not.
    """
    if client is None or client.is_service:
        raise RequestRefused("client_id is not one of ours")
    if client.suspended:
        raise RequestRefused("the app is suspended")
    given, registered = once(pairs, "redirect_uri"), client.told.redirect_uris
    if not given and len(registered) == 1:
        return registered[0]
    if not redirects.is_one_of(given, registered):
        raise RequestRefused("redirect_uri is not one that the app registered")
    return given


def asked(pairs: Pairs, client: Client, redirect_uri: str) -> Asked:
    """The rest of the request.

    Raises:
        SentBack: something of it is wrong.
    """
    doubled = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if doubled:
        raise SentBack("invalid_request", f"{doubled[0]} came twice")
    told = {name: value for name, value in pairs if value}
    for name in ("request", "request_uri", "registration"):
        if name in told:
            raise SentBack(f"{name}_not_supported", f"{name} is not supported")
    if told.get("response_type", "code") != "code":
        raise SentBack("unsupported_response_type", "response_type is code here")
    if "response_type" not in told:
        raise SentBack("invalid_request", "response_type is missing")
    if told.get("response_mode", "query") != "query":
        raise SentBack("invalid_request", "response_mode is query here")
    return Asked(
        client=client,
        redirect_uri=redirect_uri,
        told_redirect_uri="redirect_uri" in told,
        state=state(pairs),
        scopes=_scopes(told.get("scope", ""), client),
        challenge=_challenge(told),
        prompts=_prompts(told.get("prompt", "")),
        max_age=_max_age(told.get("max_age", "")),
        nonce=_nonce(told.get("nonce", "")),
    )


def state(pairs: Pairs) -> str:
    """What the app gets back as it came; empty where it is too long to be meant."""
    found = [value for name, value in pairs if name == "state"]
    return found[0] if len(found) == 1 and len(found[0]) <= LONGEST_STATE else ""


def _scopes(text: str, client: Client) -> tuple[str, ...]:
    wanted = set(text.split())
    if not wanted:
        raise SentBack("invalid_scope", "scope is missing")
    if not wanted <= set(client.told.scopes):
        raise SentBack("invalid_scope", "the app did not register all that it asks for")
    if wanted & {"profile", "email"} and "openid" not in wanted:
        raise SentBack("invalid_scope", "profile and email go with openid")
    return tuple(sorted(wanted))


def _challenge(told: dict[str, str]) -> str:
    # Without a method it would be `plain`, which hides nothing.
    if told.get("code_challenge_method") != "S256":
        raise SentBack("invalid_request", "code_challenge_method is S256 here")
    challenge = told.get("code_challenge", "")
    if not _CHALLENGE.fullmatch(challenge):
        raise SentBack("invalid_request", "code_challenge is not a SHA-256 in base64url")
    return challenge


def _prompts(text: str) -> frozenset[str]:
    found = frozenset(text.split())
    if not found <= _PROMPTS or ("none" in found and len(found) > 1):
        raise SentBack("invalid_request", "prompt cannot be understood")
    return found


def _max_age(text: str) -> timedelta | None:
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise SentBack("invalid_request", "max_age is no number of seconds")
    return timedelta(seconds=int(text))


def _nonce(text: str) -> str:
    if len(text) > LONGEST_NONCE:
        raise SentBack("invalid_request", "nonce is too long")
    return text


def back(redirect_uri: str, issuer: str, state: str, **answer: str) -> str:
    """The way back with an answer in its query, and who gives it (RFC 9207)."""
    parts = urlsplit(redirect_uri)
    told = answer | ({"state": state} if state else {}) | {"iss": issuer}
    query = "&".join(each for each in (parts.query, urlencode(told)) if each)
    return urlunsplit(parts._replace(query=query))
