"""Access tokens for tests, signed by a key that the tests hold."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey

from mesh.runtime.tokens import ALGORITHM, AUDIENCE, ISSUER, PublicKey, Verifier

KEY_ID = "test"


class Signer:
    """Issues tokens as identity would, and verifies them as every service does."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        raw = self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._jwk = OKPKey.import_key(raw, {"kid": KEY_ID})

    async def keys(self) -> list[PublicKey]:
        """What identity publishes."""
        public = self._private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        return [PublicKey(KEY_ID, public)]

    def verifier(self) -> Verifier:
        """A verifier that knows the key."""
        return Verifier(self.keys)

    def token(self, user: uuid.UUID, scopes: Iterable[str], *, lives_s: float = 900) -> str:
        """An access token; one that is to be expired has a negative life."""
        now = time.time()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user),
            "sid": "test",
            "iat": int(min(now, now + lives_s - 1)),
            "exp": int(now + lives_s),
            "scope": " ".join(scopes),
            "roles": [],
            "plan": "",
            "client_id": "test",
        }
        header = {"alg": ALGORITHM, "kid": KEY_ID, "typ": "at+jwt"}
        return jwt.encode(header, claims, self._jwk, algorithms=[ALGORITHM])
