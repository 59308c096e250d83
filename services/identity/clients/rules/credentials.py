"""What a client shows of itself at the token endpoint, by one way and no more (OAuth 2.1 §2.4)."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from services.identity.clients.rules.errors import OAuthClientInvalid, OAuthRequestInvalid

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_BASIC = "basic "


@dataclass(frozen=True, slots=True)
class Credentials:
    """Which client, and its proof; both empty where it has none to give."""

    client_id: uuid.UUID
    secret: str = field(default="", repr=False)
    assertion: str = field(default="", repr=False)


def parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name; empty ones are left out (OAuth 2.1 §1.9.2).

    Raises:
        OAuthRequestInvalid: one came twice.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found and name != "resource":
            raise OAuthRequestInvalid(f"{name} came twice")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def shown(form: Mapping[str, str], authorization: str, subject: str = "") -> Credentials:
    """The credentials in a form and an Authorization header; `subject` is of the assertion.

    Raises:
        OAuthRequestInvalid: several ways at once.
        OAuthClientInvalid: none that can be read.
    """
    secret, assertion = form.get("client_secret", ""), form.get("client_assertion", "")
    if sum((bool(authorization), bool(secret), bool(assertion))) > 1:
        raise OAuthRequestInvalid("the client proves itself in more than one way")
    if assertion:
        if form.get("client_assertion_type") != JWT_BEARER:
            raise OAuthRequestInvalid("client_assertion_type is not the JWT's")
        if form.get("client_id", subject) != subject:
            raise OAuthClientInvalid("client_id is not the assertion's")
        return Credentials(_client_id(subject), assertion=assertion)
    if authorization:
        client_id, secret = _basic(authorization)
        if form.get("client_id", client_id) != client_id:
            raise OAuthRequestInvalid("client_id is not the header's")
        return Credentials(_client_id(client_id), secret)
    return Credentials(_client_id(form.get("client_id", "")), secret)


def _basic(authorization: str) -> tuple[str, str]:
    if authorization[: len(_BASIC)].lower() != _BASIC:
        raise OAuthClientInvalid("the Authorization header is not Basic")
    try:
        decoded = base64.b64decode(authorization[len(_BASIC) :], validate=True).decode()
    except (binascii.Error, ValueError):
        raise OAuthClientInvalid("the Authorization header cannot be read") from None
    client_id, found, secret = decoded.partition(":")
    if not found or not secret:
        raise OAuthClientInvalid("the Authorization header holds no secret")
    # Both are form-encoded before they are joined (RFC 6749 §2.3.1).
    return unquote_plus(client_id), unquote_plus(secret)


def _client_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise OAuthClientInvalid("there is no such client") from None
