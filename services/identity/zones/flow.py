"""Use cases of privacy zones."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from mesh.runtime.clock import Clock
from services.identity import events
from services.identity.profiles.rules import EtagMismatch, UserNotFound
from services.identity.zones import rules
from services.identity.zones.covers import Circle, cover
from services.identity.zones.rules import Wanted, Zone
from services.identity.zones.store import FORGET_AT_ONCE, ZoneStore

TRIES: Final = 5
MOST_FORGETTINGS: Final = 100


@dataclass(frozen=True, slots=True)
class ZoneFlow:
    """Keeping zones, and telling that they changed; where they are, only who asks is told."""

    store: ZoneStore
    clock: Clock

    async def create(self, user_id: uuid.UUID, zone_id: uuid.UUID, wanted: Wanted) -> Zone:
        """Adds a zone; a repeat answers with the first one, and revives nothing.

        Raises:
            UserNotFound, TooManyPrivacyZones, RequestIdReused, FieldInvalid
        """
        zone = rules.created(user_id, zone_id, wanted, self.clock())
        event = events.settings_changed(user_id)
        record = await self.store.create(zone, wanted.fingerprint, event)
        return zone if record is None else rules.repeated(zone, wanted, record)

    async def zones(self, user_id: uuid.UUID) -> list[Zone]:
        """A person's zones, oldest first."""
        return await self.store.zones(user_id)

    async def kept(self, user_id: uuid.UUID) -> tuple[list[Circle], int]:
        """What covers the zones, and the version of the newest event that told of a change.

        Raises:
            UserNotFound
        """
        # The version first: what changes in between is told anew after it.
        found = await self.store.told(user_id)
        zones = await self.store.zones(user_id)
        if found is not None and zones and not found[1]:
            # The first one came in between, and the secret with it.
            found = await self.store.told(user_id)
        if found is None:
            raise UserNotFound
        told, secret = found
        return [cover(each, secret) for each in zones], told

    async def update(
        self,
        user_id: uuid.UUID,
        zone_id: uuid.UUID,
        wanted: Wanted,
        fields: Collection[str],
        etag: str,
    ) -> Zone:
        """Changes `fields` of a zone to those of `wanted`.

        Raises:
            PrivacyZoneNotFound, EtagMismatch, FieldInvalid
        """
        for _ in range(TRIES):
            zone = await self.store.zone(user_id, zone_id)
            if zone is None:
                raise rules.PrivacyZoneNotFound
            changed = rules.update(zone, wanted, fields, etag, self.clock())
            if changed is zone or await self.store.save(changed, events.settings_changed(user_id)):
                return changed
        raise EtagMismatch

    async def delete(self, user_id: uuid.UUID, zone_id: uuid.UUID) -> None:
        """Deletes a zone; a repeat changes nothing.

        Raises:
            PrivacyZoneNotFound: there never was one.
        """
        event = events.settings_changed(user_id)
        if not await self.store.delete(user_id, zone_id, self.clock(), event):
            raise rules.PrivacyZoneNotFound

    async def forget(self) -> None:
        """Drops what is left of zones that were deleted long ago."""
        before = self.clock() - rules.REMEMBER_DELETED
        for _ in range(MOST_FORGETTINGS):
            if await self.store.forget(before) < FORGET_AT_ONCE:
                return
