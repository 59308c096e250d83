"""Access tokens in the peer: verified once, kept until they expire."""

from __future__ import annotations

import time
from typing import Any

from fastapi import HTTPException, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization

ALGORITHM = "EdDSA"
MOST_KEPT = 20_000


class Tokens:
    """Whose a token is."""

    def __init__(self, jwks: KeySetSerialization, audience: str, issuer: str) -> None:
        self._keys = KeySet.import_key_set(jwks)
        self._claims = jwt.JWTClaimsRegistry(
            aud={"essential": True, "value": audience}, iss={"essential": True, "value": issuer}
        )
        self._kept: dict[str, dict[str, Any]] = {}

    def user(self, request: Request) -> str:
        """The user's id.

        Raises:
            HTTPException: 401 where there is no valid token, 403 where it lacks the scope.
        """
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise HTTPException(401, "a bearer token is needed")
        claims = self._kept.get(token) or self._verified(token)
        if claims["exp"] <= time.time():
            self._kept.pop(token, None)
            raise HTTPException(401, "the token has expired")
        if "activities.read" not in claims["scope"].split():
            raise HTTPException(403, "the scope activities.read is needed")
        return str(claims["sub"])

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, self._keys, algorithms=[ALGORITHM]).claims
            self._claims.validate(claims)
        except (JoseError, ValueError) as error:
            raise HTTPException(401, "the token is not valid") from error
        if len(self._kept) >= MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[token] = claims
        return claims


def owner(user: str, asked: str) -> str:
    """The person whose things are asked for: oneself.

    Raises:
        HTTPException: 404, as for what is not there.
    """
    if asked not in ("me", user):
        raise HTTPException(404, "there is no such activity")
    return user
