"""Makes tokens that identity does not: forged by strangers, or by its own key gone astray."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from tests.support.made_tokens import Signer, claims

USER = uuid.UUID("01a1fe35-0000-8000-8000-000000000001")
ANOTHER = uuid.UUID("01a1fe35-0000-8000-8000-000000000002")
Made = Callable[[Signer], str]
"""Makes a token, by identity's own key where it is asked to sign."""
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def b64(raw: bytes | str | dict[str, Any]) -> str:
    """base64url with no padding; of an object, its JSON."""
    text = json.dumps(raw, separators=(",", ":")) if isinstance(raw, dict) else raw
    encoded = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(encoded).rstrip(b"=").decode()


def header_of(signer: Signer) -> dict[str, Any]:
    """A header as identity writes it."""
    return {"typ": "at+jwt", "alg": "EdDSA", "kid": signer.key_id}


def jwk_of(signer: Signer) -> dict[str, Any]:
    """The public key as a JWK."""
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(signer.public.raw), "kid": signer.key_id}


def signed(signer: Signer, header: Any = None, payload: Any = None) -> str:
    """A token of exactly these parts, rightly signed."""
    told = b64(header_of(signer) if header is None else header)
    said = b64(claims(USER) if payload is None else payload)
    return f"{told}.{said}.{b64(signer.private.sign(f'{told}.{said}'.encode()))}"


def unsigned(algorithm: str) -> Made:
    """Says that it is of an algorithm, and has no signature."""
    return lambda s: f"{b64(header_of(s) | {'alg': algorithm})}.{b64(claims(USER))}."


def by_secret(secret: Callable[[Signer], bytes]) -> Made:
    """Signed by HMAC, with what anybody knows."""

    def made(signer: Signer) -> str:
        text = f"{b64(header_of(signer) | {'alg': 'HS256'})}.{b64(claims(USER))}"
        return f"{text}.{b64(hmac.new(secret(signer), text.encode(), hashlib.sha256).digest())}"

    return made


_KEYS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: RSAKey.import_key(rsa.generate_private_key(65537, 2048)),
    "ES256": lambda: ECKey.import_key(ec.generate_private_key(ec.SECP256R1())),
    "HS512": lambda: OctKey.generate_key(512),
    "EdDSA": lambda: OKPKey.import_key(Ed448PrivateKey.generate()),
}


def by_algorithm(algorithm: str) -> Made:
    """Rightly signed by a key of another kind."""

    def made(signer: Signer) -> str:
        header = header_of(signer) | {"alg": algorithm}
        return str(jwt.encode(header, claims(USER), _KEYS[algorithm](), algorithms=[algorithm]))

    return made


def offering(**offered: Callable[[Signer], Any]) -> Made:
    """Signed by a stranger's key, which the header offers."""

    def made(signer: Signer) -> str:
        stranger = Signer(signer.key_id)
        return signed(stranger, header_of(signer) | {k: v(stranger) for k, v in offered.items()})

    return made


def header(**other: Any) -> Made:
    """Rightly signed, with more or other in its header; None takes a name away."""

    def made(signer: Signer) -> str:
        told = header_of(signer) | other
        return signed(signer, {k: v for k, v in told.items() if v is not None})

    return made


def header_text(change: Callable[[str], str]) -> Made:
    """Rightly signed, with its header's JSON changed."""
    return lambda s: signed(s, change(json.dumps(header_of(s), separators=(",", ":"))))


def with_claims(**other: Any) -> Made:
    """Rightly signed, with other claims; None takes one away, functions are asked then."""

    def made(signer: Signer) -> str:
        told = claims(USER) | {k: v() if callable(v) else v for k, v in other.items()}
        return signed(signer, None, {k: v for k, v in told.items() if v is not None})

    return made


def claims_text(change: Callable[[str], str | bytes]) -> Made:
    """Rightly signed, with the claims' JSON changed."""
    return lambda s: signed(s, None, change(json.dumps(claims(USER), separators=(",", ":"))))


def twice(name: str, value: Any, *, first: bool = False) -> Made:
    """Rightly signed, with a name given once more among the claims: last, or first."""
    more = f'"{name}":{json.dumps(value)}'
    return claims_text(lambda t: f"{{{more},{t[1:]}" if first else f"{t[:-1]},{more}}}")


def parts(change: Callable[[str, str, str], str]) -> Made:
    """A good token's parts, put together otherwise."""
    return lambda s: change(*signed(s).split("."))


def after(seconds: int) -> Callable[[], int]:
    """A time from now, asked when the token is made."""
    return lambda: int(time.time()) + seconds


def last_bits(part: str) -> str:
    """The same bytes, with bits set that base64 has no byte for."""
    return part[:-1] + _ALPHABET[_ALPHABET.index(part[-1]) | 1]


def with_last_bits(signer: Signer) -> str:
    """Rightly signed, with such bits in the claims."""
    said = claims(USER)
    while len(b64(said)) % 4 == 0:
        said["plan"] += "x"
    told = f"{b64(header_of(signer))}.{last_bits(b64(said))}"
    return f"{told}.{b64(signer.private.sign(told.encode()))}"
