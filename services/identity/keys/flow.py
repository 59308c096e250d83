"""The ring of signing keys in a process: read again and again, used to sign, given out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from mesh.runtime.revocations import Revocation
from mesh.runtime.tokens import PublicKey
from services.identity.keys import keeper, rules
from services.identity.keys.keeper import Keeper
from services.identity.keys.rules import SigningKey

REREAD = timedelta(seconds=1)
"""Well below `rules.LEAD`: no process gives out an older set once a new key signs."""


@dataclass(slots=True)
class KeyRing:
    """What this process knows of the keys."""

    keeper: Keeper
    _keys: list[SigningKey] = field(default_factory=list)
    _read_at: datetime | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _jwk: OKPKey | None = None

    async def keys(self) -> list[SigningKey]:
        """All keys; the first call of all makes the first key."""
        if self._is_old():
            # Whoever comes meanwhile waits for the same answer.
            async with self._reading:
                if self._is_old():
                    now = self.keeper.clock()
                    self._keys = await self._read()
                    self._read_at = now
        return self._keys

    def _is_old(self) -> bool:
        return self._read_at is None or self.keeper.clock() - self._read_at > REREAD

    async def _read(self) -> list[SigningKey]:
        keys = await self.keeper.store.keys()
        if not rules.living(keys):
            await self.keeper.tend()
            keys = await self.keeper.store.keys()
        return keys

    def heard(self, revoked: list[Revocation]) -> None:
        """Reads anew where a key was withdrawn: it signs nothing more."""
        if any(each.key_id for each in revoked):
            self._read_at = None

    async def signer(self, now: datetime) -> OKPKey:
        """The key to sign with.

        Where all keys were withdrawn a moment ago it waits until the edge knows the next.
        """
        key = rules.signer(await self.keys(), now)
        if key is None:
            raise LookupError("there is no signing key")
        if key.signs_at > now:
            await asyncio.sleep(min(key.signs_at - now, rules.LEAD).total_seconds())
        if self._jwk is None or self._jwk.kid != key.key_id:
            self._jwk = self._opened(key)
        return self._jwk

    def _opened(self, key: SigningKey) -> OKPKey:
        seed = self.keeper.sealer.open(key.secret, keeper.place(key.key_id))
        pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return OKPKey.import_key(pem, {"kid": key.key_id})

    async def published(self) -> Iterable[SigningKey]:
        """The keys that others verify with, newest first."""
        now, schedule = self.keeper.clock(), self.keeper.schedule
        return rules.published(await self.keys(), now, schedule)

    async def public_keys(self) -> list[PublicKey]:
        """The same, as this service's own verifier takes them."""
        return [PublicKey(key.key_id, key.public_key) for key in await self.published()]
