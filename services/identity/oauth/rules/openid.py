"""The rules of signing in elsewhere with Palestra: what apps are told of a person, by what number.

Decides; reads no clock, makes no randomness, signs nothing.
"""

from __future__ import annotations

import base64
import hmac
import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from services.identity.oauth.rules.codes import Code

OPENID, PROFILE, EMAIL = "openid", "profile", "email"
SCOPES = frozenset({OPENID, PROFILE, EMAIL})
"""Of signing in alone: no method of the API knows them."""
ID_TOKEN_S = 600
TYPE = "JWT"
"""Never that of an access token."""


def signs_in_only(scopes: Collection[str]) -> bool:
    """Whether an app learns nothing of the account but who it is to the app itself."""
    return SCOPES.issuperset(scopes)


def number(sector: uuid.UUID, user_id: uuid.UUID) -> str:
    """A person's number in the apps of one sector (OpenID Connect Core §8.1: pairwise).

    The sector is random and told nobody: without it no number leads to an account, nor to the
    same person's number elsewhere.
    """
    made = hmac.digest(sector.bytes, user_id.bytes, "sha256")
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def id_token(code: Code, issuer: str, sector: uuid.UUID, now: datetime) -> dict[str, Any]:
    """What an ID token says of the sign-in that a code is of."""
    issued = int(now.timestamp())
    told: dict[str, Any] = {
        "iss": issuer,
        "sub": number(sector, code.user_id),
        "aud": str(code.client_id),
        "iat": issued,
        "exp": issued + ID_TOKEN_S,
        "auth_time": int(code.proved_at.timestamp()),
        "amr": list(code.amr),
    }
    return told | ({"nonce": code.nonce} if code.nonce else {})
