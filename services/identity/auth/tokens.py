"""Access tokens as identity issues them: EdDSA JWTs (RFC 9068's `at+jwt`)."""

from __future__ import annotations

import uuid
from datetime import datetime

from joserfc import jwt
from joserfc.jwk import OKPKey

from mesh.runtime.tokens import ALGORITHM, AUDIENCE, ISSUER

FIRST_PARTY = "palestra-app"


def mint(
    key: OKPKey,
    user_id: uuid.UUID,
    session_id: uuid.UUID,
    scopes: frozenset[str],
    auth_time: datetime,
    now: datetime,
    lifetime_s: int,
) -> str:
    """A signed access token that begins now and lives `lifetime_s`."""
    issued = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "sid": str(session_id),
        "iat": issued,
        "exp": issued + lifetime_s,
        "auth_time": int(auth_time.timestamp()),
        "scope": " ".join(sorted(scopes)),
        "roles": [],
        "plan": "",
        "client_id": FIRST_PARTY,
    }
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": "at+jwt"}
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])
