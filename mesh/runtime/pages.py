"""Page tokens (AIP-158): opaque, and good for the request that they came from only."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson

from mesh.runtime.errors import MeshError


def token(request_key: str, cursor: list[Any]) -> str:
    """A token that goes on after `cursor`; `request_key` is all that must stay the same."""
    body = orjson.dumps([_digest(request_key), cursor])
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def cursor(request_key: str, page_token: str) -> list[Any] | None:
    """Where a page begins; None for the first one.

    Raises:
        MeshError: PAGE_TOKEN_INVALID where it is damaged or of another request.
    """
    if not page_token:
        return None
    try:
        padded = page_token + "=" * (-len(page_token) % 4)
        digest, found = orjson.loads(base64.urlsafe_b64decode(padded))
        if digest == _digest(request_key) and isinstance(found, list):
            return found
    except (ValueError, TypeError):
        pass
    raise MeshError("PAGE_TOKEN_INVALID")


def _digest(request_key: str) -> str:
    return hashlib.sha256(request_key.encode()).hexdigest()[:16]
