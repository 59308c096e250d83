"""Use cases of keeping the keys: tended by the clock, turned and withdrawn by an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from mesh.runtime.sealing import SealBroken, Sealer
from mesh.runtime.sql import Database
from services.identity.keys import rules
from services.identity.keys.rules import Change, Schedule, SigningKey
from services.identity.keys.store import Decide, KeyStore

_log = structlog.get_logger(__name__)


def place(key_id: str) -> str:
    """What a sealed private key is bound to."""
    return f"signing-key/{key_id}"


def store_of(database: Database, sealer: Sealer) -> KeyStore:
    """The rows, which are never written but sealed."""
    return KeyStore(database, lambda key_id, secret: sealer.seal(secret, place(key_id)))


@dataclass(frozen=True, slots=True)
class Keeper:
    """Decides, alone among all processes, what becomes of the keys."""

    store: KeyStore
    sealer: Sealer
    clock: Clock
    schedule: Schedule

    async def tend(self) -> None:
        """Publishes the next key where it is due, forgets what is over, seals anew what is stale.

        The keys that seal are turned by whoever keeps the deployment's secrets.
        """
        now, keys = self.clock(), await self.store.keys()
        if rules.tend(keys, now, self.schedule, self._make):
            await self._change(lambda known: rules.tend(known, now, self.schedule, self._make), now)
        for key in keys:
            if key.secret and self.sealer.is_stale(key.secret):
                await self._reseal(key)

    async def turn(self, *, at_once: bool) -> list[SigningKey]:
        """The next key signs; the keys as they are then.

        Raises:
            KeysTooMany: too many are published already.
        """
        now = self.clock()
        await self._change(
            lambda keys: rules.turn(keys, now, self.schedule, self._make, at_once=at_once), now
        )
        return await self.store.keys()

    async def withdraw(self, key_ids: Sequence[str], by: str, why: str) -> list[SigningKey]:
        """Nothing that these keys signed is believed, in seconds everywhere; all where none is
        named. Their private halves are destroyed. Sessions live on. The keys as they are then.

        Raises:
            KeyUnknown: there is no such key.
        """
        now = self.clock()

        def decide(keys: list[SigningKey]) -> Change:
            named = list(key_ids) or [key.key_id for key in rules.living(keys)]
            return rules.withdraw(keys, named, now, self.schedule, self._make)

        await self._change(decide, now, by, why)
        return await self.store.keys()

    async def _change(
        self,
        decide: Decide,
        now: datetime,
        by: str = "",
        why: str = "",
    ) -> None:
        change = await self.store.change(decide, now, by, why)
        if change:
            _log.info(
                "signing_keys_changed",
                added=[key.key_id for key in change.added],
                moved=[key_id for key_id, _ in change.moved],
                withdrawn=list(change.withdrawn),
                forgotten=list(change.forgotten),
            )

    async def _reseal(self, key: SigningKey) -> None:
        try:
            opened = self.sealer.open(key.secret, place(key.key_id))
        except SealBroken:
            _log.error("signing_key_does_not_open", key_id=key.key_id)
            return
        await self.store.reseal(key, self.sealer.seal(opened, place(key.key_id)))

    def _make(self, signs_at: datetime) -> SigningKey:
        private, key_id = Ed25519PrivateKey.generate(), str(uuid7())
        return SigningKey(
            key_id=key_id,
            secret=self.sealer.seal(private.private_bytes_raw(), place(key_id)),
            public_key=private.public_key().public_bytes_raw(),
            published_at=self.clock(),
            signs_at=signs_at,
        )
