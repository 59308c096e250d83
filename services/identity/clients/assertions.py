"""Public keys of clients, and the JWTs by which they prove themselves (RFC 7523).

Owns the algorithms that are taken and the claims that must be there. That a JWT serves
once is the store's to see to.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import extract_compact

from services.identity.clients.rules.errors import ClientKeyInvalid, OAuthClientInvalid

ALGORITHMS = ("EdDSA", "ES256", "RS256", "PS256")
LONGEST_ASSERTION = 4096
LONGEST_LIFE = timedelta(minutes=5)
LEEWAY = timedelta(seconds=30)
LONGEST_JTI = 128
LEAST_RSA_BITS = 2048
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_NOT_ONE = (JoseError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a proved JWT says of itself."""

    jti: str
    expires_at: datetime


def key_set(jwks: Iterable[str]) -> str:
    """Public keys, each a JWK, as one JWK set; empty where there is none.

    Raises:
        ClientKeyInvalid: one is private, too weak, of another kind, or without a `kid`.
    """
    found = [_checked(each) for each in jwks]
    if len({each["kid"] for each in found}) != len(found):
        raise ClientKeyInvalid("keys", "two keys have one kid")
    return json.dumps({"keys": found}, sort_keys=True) if found else ""


def jwks_of(keys: str) -> list[str]:
    """The keys of a set, each as JSON."""
    return [json.dumps(each, sort_keys=True) for each in json.loads(keys)["keys"]] if keys else []


def _checked(jwk: str) -> dict[str, Any]:
    try:
        told = json.loads(jwk)
        if not isinstance(told, dict) or _PRIVATE & told.keys():
            raise ClientKeyInvalid("keys", "is no public key")
        if not isinstance(told.get("kid"), str) or not 1 <= len(told["kid"]) <= LONGEST_JTI:
            raise ClientKeyInvalid("keys", "has no kid")
        key = _import(told)
    except _NOT_ONE:
        raise ClientKeyInvalid("keys", "cannot be read") from None
    public: dict[str, Any] = dict(key.as_dict(private=False))
    return {name: public[name] for name in sorted(public)}


def _import(told: dict[str, Any]) -> OKPKey | ECKey | RSAKey:
    if told.get("kty") == "OKP" and told.get("crv") == "Ed25519":
        return OKPKey.import_key(told)
    if told.get("kty") == "EC" and told.get("crv") == "P-256":
        return ECKey.import_key(told)
    if told.get("kty") == "RSA":
        key = RSAKey.import_key(told)
        if key.public_key.key_size < LEAST_RSA_BITS:
            raise ClientKeyInvalid("keys", f"is of less than {LEAST_RSA_BITS} bits")
        return key
    raise ClientKeyInvalid("keys", "is neither Ed25519 nor P-256 nor RSA")


def subject_of(assertion: str) -> str:
    """Whom a JWT speaks for, not yet proved; empty where it cannot be read."""
    try:
        claims = json.loads(extract_compact(assertion[:LONGEST_ASSERTION].encode()).payload)
        return str(claims["sub"])
    except _NOT_ONE:
        return ""


def verify(
    assertion: str, keys: str, client_id: uuid.UUID, audiences: frozenset[str], now: datetime
) -> Assertion:
    """Proves a JWT to be the client's, for us, and short-lived.

    Raises:
        OAuthClientInvalid: it is not; which of it, only the log's reader may know.
    """
    if not keys or len(assertion) > LONGEST_ASSERTION:
        raise OAuthClientInvalid("the assertion is not this client's")
    try:
        header = extract_compact(assertion.encode()).headers()
        if header.get("alg") not in ALGORITHMS or not header.get("kid"):
            raise OAuthClientInvalid("the assertion's algorithm is not one of ours")
        known = KeySet.import_key_set(json.loads(keys))
        decoded = jwt.decode(assertion, known, algorithms=list(ALGORITHMS))
        return _claims(decoded.claims, str(client_id), audiences, now)
    except _NOT_ONE:
        raise OAuthClientInvalid("the assertion is not this client's") from None


def _claims(
    claims: dict[str, Any], client_id: str, audiences: frozenset[str], now: datetime
) -> Assertion:
    told = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if claims["iss"] != client_id or claims["sub"] != client_id:
        raise OAuthClientInvalid("the assertion is another client's")
    if not audiences & {str(each) for each in told}:
        raise OAuthClientInvalid("the assertion is for somebody else")
    at_s, leeway_s = now.timestamp(), LEEWAY.total_seconds()
    expires_s, jti = _seconds(claims["exp"]), claims["jti"]
    if not at_s - leeway_s < expires_s <= at_s + LONGEST_LIFE.total_seconds() + leeway_s:
        raise OAuthClientInvalid("the assertion is over, or lives too long")
    for name in ("iat", "nbf"):
        if name in claims and _seconds(claims[name]) > at_s + leeway_s:
            raise OAuthClientInvalid("the assertion is of the future")
    if not isinstance(jti, str) or not 1 <= len(jti) <= LONGEST_JTI:
        raise OAuthClientInvalid("the assertion has no jti")
    return Assertion(jti, datetime.fromtimestamp(expires_s, now.tzinfo))


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a time is not a number")
    return float(value)
