"""Use cases of profiles."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mesh.runtime.clock import Clock
from services.identity import events
from services.identity.profiles import rules
from services.identity.profiles.rules import Profile
from services.identity.profiles.standing import Relations
from services.identity.profiles.store import ProfileStore
from services.identity.visibility.rules import Audience, Standing

TRIES = 5


class Card(NamedTuple):
    """What everyone who shows a person needs."""

    user_id: uuid.UUID
    display_name: str
    avatar: str


@dataclass(frozen=True, slots=True)
class ProfileFlow:
    """Reading and changing profiles."""

    store: ProfileStore
    relations: Relations
    clock: Clock
    least_age_years: int = rules.LEAST_AGE_YEARS

    async def profile(self, user_id: uuid.UUID) -> Profile:
        """A person's profile, whole.

        Raises:
            UserNotFound
        """
        found = await self.store.profile(user_id)
        if found is None:
            raise rules.UserNotFound
        return found

    async def seen(self, viewer: uuid.UUID, user_id: uuid.UUID) -> tuple[Profile, Standing]:
        """What a viewer may see of a profile, and what he is to its owner.

        Raises:
            UserNotFound: also where either blocks the other.
        """
        if viewer == user_id:
            return await self.profile(user_id), Standing.SELF
        # Both are asked for in any case: who is blocked waits as long as who asks for nobody.
        found, what = (
            await self.store.profile(user_id),
            await self.relations.between(viewer, user_id),
        )
        if found is None or what is Standing.BLOCKED:
            raise rules.UserNotFound
        return rules.seen_by(found, what), what

    async def cards(self, viewer: uuid.UUID, people: Sequence[uuid.UUID]) -> list[Card]:
        """The cards of those who are there and not blocked, in their order, each once."""
        wanted = list(dict.fromkeys(people))
        seen = await self.relations.filter(viewer, wanted, Audience.EVERYONE)
        found = await self.store.cards(seen)
        return [Card(user_id, *found[user_id]) for user_id in seen if user_id in found]

    async def shown_name(self, user_id: uuid.UUID) -> str:
        """What everyone sees a person is called; empty where there is nobody."""
        return (await self.store.cards([user_id])).get(user_id, ("", ""))[0]

    async def update(
        self, user_id: uuid.UUID, wanted: Profile, fields: Collection[str], etag: str
    ) -> Profile:
        """Changes `fields` of a profile to those of `wanted`.

        Others hear of it where the public card changed; of the rest nothing is told.

        Raises:
            UserNotFound, EtagMismatch, DisplayNameInvalid, BirthDateInvalid, TooYoung,
            FieldInvalid
        """
        for _ in range(TRIES):
            profile = await self.profile(user_id)
            changed = rules.update(
                profile, wanted, fields, etag, self.clock(), self.least_age_years
            )
            if changed is profile:
                return profile
            told = changed.card != profile.card
            event = events.profile_updated(changed) if told else None
            if await self.store.save(changed, event):
                return changed
        raise rules.EtagMismatch
