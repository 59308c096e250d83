"""How callers prove who they are: a bearer token, with scopes where the contract asks."""

from __future__ import annotations

from gateway.openapi.scalars import Schema
from mesh import policy
from mesh.policy import Method

BEARER = "bearer"
SCHEMES: dict[str, Schema] = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token from `POST /v1/auth:login`, good for `expiresIn` seconds; "
        "`POST /v1/auth:refresh` gives the next.",
    }
}


def requirement(method: Method) -> list[Schema]:
    """What a method asks for; nothing where anyone may call it."""
    if method.policy.access == policy.PUBLIC:
        return []
    return [{BEARER: [method.policy.scope] if method.policy.scope else []}]
