"""Use cases of people's keys."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from mesh.runtime.sealing import Sealer
from services.identity.personkeys import rules
from services.identity.personkeys.rules import PersonKey
from services.identity.personkeys.store import PersonKeyStore


@dataclass(frozen=True, slots=True)
class PersonKeyFlow:
    """Makes and gives out keys; erasing a person destroys his."""

    store: PersonKeyStore
    sealer: Sealer
    clock: Clock

    async def key(self, user_id: uuid.UUID) -> PersonKey:
        """A person's key; the first call of all makes it.

        Raises:
            UserNotFound: also of somebody who was erased, whatever a backup brought back.
        """
        found = await self.store.key(user_id)
        if found is None:
            key_id, secret = uuid7(), os.urandom(rules.KEY_BYTES)
            sealed = self.sealer.seal(secret, rules.place(user_id, key_id))
            # Of two that make one at the same instant, one's stays; both read it.
            await self.store.add(user_id, key_id, sealed, self.clock())
            found = await self.store.key(user_id)
        if found is None:
            raise rules.UserNotFound
        key_id, sealed = found
        return PersonKey(user_id, key_id, self.sealer.open(sealed, rules.place(user_id, key_id)))

    async def fetch(self, user_id: uuid.UUID) -> tuple[uuid.UUID, bytes]:
        """The same, as `mesh.runtime.personkeys` takes it."""
        key = await self.key(user_id)
        return key.key_id, key.secret
