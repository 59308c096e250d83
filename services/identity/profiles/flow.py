"""Use cases of profiles."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from mesh.runtime.clock import Clock
from services.identity import events
from services.identity.profiles import rules
from services.identity.profiles.rules import Profile
from services.identity.profiles.store import ProfileStore

TRIES = 5


@dataclass(frozen=True, slots=True)
class ProfileFlow:
    """Reading and changing profiles."""

    store: ProfileStore
    clock: Clock

    async def profile(self, user_id: uuid.UUID) -> Profile:
        """A person's profile.

        Raises:
            UserNotFound
        """
        found = await self.store.profile(user_id)
        if found is None:
            raise rules.UserNotFound
        return found

    async def update(
        self, user_id: uuid.UUID, wanted: Profile, fields: Collection[str], etag: str
    ) -> Profile:
        """Changes `fields` of a profile to those of `wanted`.

        Raises:
            UserNotFound, EtagMismatch, DisplayNameInvalid
        """
        for _ in range(TRIES):
            profile = await self.profile(user_id)
            changed = rules.update(profile, wanted, fields, etag, self.clock())
            if changed is profile:
                return profile
            event = events.profile_updated(user_id, changed.display_name)
            if await self.store.save(changed, event):
                return changed
        raise rules.EtagMismatch
