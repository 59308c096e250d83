"""Access tokens as identity issues them: EdDSA JWTs (RFC 9068's `at+jwt`).

Each sign-in and each refresh makes one, so it is put together here (RFC 7515 §3.1) at half of
what a library takes; whatever verifies them, ours and Envoy's, is a library's.
"""

from __future__ import annotations

import base64
from datetime import datetime
from functools import lru_cache

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from mesh.runtime.ids import region_of, uuid7
from mesh.runtime.tokens import AUDIENCE, ISSUER, header_part
from services.identity.sessions.rules import Session


def mint(
    key: OKPKey, session: Session, scopes: frozenset[str], now: datetime, lifetime_s: int
) -> tuple[str, int]:
    """A signed access token of the session that begins now, and the seconds that it lives.

    `lifetime_s`, but no longer than any role in it.
    """
    issued = int(now.timestamp())
    roles = session.roles(now)
    expires = min([issued + lifetime_s, *(int(each.expires_at.timestamp()) for each in roles)])
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(session.user_id),
        "sid": str(session.session_id),
        "iat": issued,
        "exp": expires,
        "auth_time": int(session.proved_at.timestamp()),
        "amr": list(session.amr),
        "scope": " ".join(sorted(scopes)),
        "roles": [each.role for each in roles],
        "plan": "",
        "client_id": session.client_id,
        "gen": session.generation,
        "jti": str(uuid7()),
        "region": region_of(session.user_id),
    }
    return _signed(key, claims), expires - issued


def _signed(key: OKPKey, claims: dict[str, object]) -> str:
    private = key.private_key
    if not isinstance(private, Ed25519PrivateKey):
        raise TypeError("the key signs nothing, or otherwise")
    told = _header(str(key.kid)) + _part(orjson.dumps(claims))
    return (told + b"." + _part(private.sign(told))).decode()


@lru_cache(maxsize=16)
def _header(key_id: str) -> bytes:
    return header_part(key_id).encode() + b"."


def _part(plain: bytes) -> bytes:
    return base64.urlsafe_b64encode(plain).rstrip(b"=")
