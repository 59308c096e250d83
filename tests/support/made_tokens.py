"""Access tokens of a key of our own, in every shape: right, late, forged, poor."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey

from mesh.runtime.tokens import ALGORITHM, AUDIENCE, ISSUER, PublicKey

SESSION = "01a1fe35-0000-7000-8000-000000000000"
"""The id of a session that is in no store."""


@dataclass(frozen=True, slots=True)
class Signer:
    """An Ed25519 key pair that signs as identity does."""

    key_id: str
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> PublicKey:
        """What the verifier is given."""
        return PublicKey(self.key_id, self.private.public_key().public_bytes_raw())

    @property
    def jwk(self) -> OKPKey:
        """What signs."""
        pem = self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return OKPKey.import_key(pem, {"kid": self.key_id})

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A token of exactly these claims."""
        whole = {"alg": ALGORITHM, "kid": self.key_id, "typ": "at+jwt"} | header
        return jwt.encode(whole, claims, self.jwk, algorithms=[ALGORITHM])

    def token(
        self,
        user: uuid.UUID,
        scopes: Iterable[str] = (),
        roles: Iterable[str] = (),
        *,
        lifetime_s: int = 900,
        **other: Any,
    ) -> str:
        """A token that began now; negative lifetimes are over already."""
        return self.sign(claims(user, scopes, roles, lifetime_s=lifetime_s) | other)


def claims(
    user: uuid.UUID,
    scopes: Iterable[str] = (),
    roles: Iterable[str] = (),
    *,
    lifetime_s: int = 900,
) -> dict[str, Any]:
    """The claims of a token that began now, or, where its time is over, two lifetimes ago."""
    now = int(time.time())
    begun = now if lifetime_s > 0 else now + 2 * lifetime_s
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user),
        "sid": SESSION,
        "iat": begun,
        "exp": begun + abs(lifetime_s),
        "auth_time": begun,
        "scope": " ".join(sorted(scopes)),
        "roles": sorted(roles),
        "plan": "",
        "client_id": "palestra-app",
    }
