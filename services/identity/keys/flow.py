"""The ring of signing keys: made, published, used, forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from mesh.runtime.tokens import PublicKey
from services.identity.keys import rules
from services.identity.keys.rules import SigningKey
from services.identity.keys.store import KeyStore

REREAD = timedelta(seconds=10)


@dataclass(slots=True)
class KeyRing:
    """The keys of this process, read again now and then."""

    store: KeyStore
    clock: Clock
    _keys: list[SigningKey] = field(default_factory=list)
    _read_at: datetime | None = None
    _jwk: OKPKey | None = None

    async def keys(self) -> list[SigningKey]:
        """All keys; the first call of all makes the first key."""
        now = self.clock()
        if self._read_at is None or now - self._read_at > REREAD:
            keys = await self.store.keys()
            if not keys:
                await self.turn()
                keys = await self.store.keys()
            self._keys, self._read_at = keys, now
        return self._keys

    async def signer(self, now: datetime) -> OKPKey:
        """The key to sign with."""
        key = rules.signer(await self.keys(), now)
        if key is None:
            raise LookupError("there is no signing key")
        if self._jwk is None or self._jwk.kid != key.key_id:
            private = Ed25519PrivateKey.from_private_bytes(key.private_key)
            pem = private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            self._jwk = OKPKey.import_key(pem, {"kid": key.key_id})
        return self._jwk

    async def published(self) -> list[SigningKey]:
        """The keys that others verify with, newest first."""
        return rules.published(await self.keys(), self.clock())

    async def public_keys(self) -> list[PublicKey]:
        """The same, as this service's own verifier takes them."""
        return [PublicKey(key.key_id, key.public_key) for key in await self.published()]

    async def turn(self) -> None:
        """Publishes the next key where it is due, forgets those whose tokens are gone."""
        now = self.clock()
        keys = await self.store.keys()
        if rules.new_key_is_due(keys, now):
            await self.store.add(_make(now), rules.SIGNS_FOR)
        if keys:
            await self.store.forget(rules.published(keys, now)[-1])


def _make(now: datetime) -> SigningKey:
    private = Ed25519PrivateKey.generate()
    return SigningKey(
        key_id=str(uuid7()),
        private_key=private.private_bytes_raw(),
        public_key=private.public_key().public_bytes_raw(),
        published_at=now,
    )
