"""Use cases of settings."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from mesh.runtime.clock import Clock
from services.identity import events
from services.identity.profiles.rules import EtagMismatch, UserNotFound
from services.identity.settings import zonenames
from services.identity.settings.rules import settings as rules
from services.identity.settings.rules.locales import Locale
from services.identity.settings.rules.settings import Settings
from services.identity.settings.store import SettingsStore

TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class SettingsFlow:
    """Reading and changing settings."""

    store: SettingsStore
    clock: Clock

    async def settings(self, user_id: uuid.UUID) -> Settings:
        """A person's settings, with what is usual where he chose nothing.

        Raises:
            UserNotFound
        """
        settings, locale = await self._chosen(user_id)
        return rules.shown(settings, locale)

    async def update(
        self, user_id: uuid.UUID, wanted: Settings, fields: Collection[str], etag: str
    ) -> Settings:
        """Changes `fields` of the settings to those of `wanted`, and tells that they changed.

        Raises:
            UserNotFound, EtagMismatch, LanguageUnsupported, TimeZoneUnknown,
            NotificationMandatory, FieldInvalid
        """
        for _ in range(TRIES):
            settings, locale = await self._chosen(user_id)
            changed = rules.update(settings, wanted, fields, etag, self.clock(), zonenames.is_known)
            if changed is settings or await self.store.save(
                changed, events.settings_changed(user_id)
            ):
                return rules.shown(changed, locale)
        raise EtagMismatch

    async def _chosen(self, user_id: uuid.UUID) -> tuple[Settings, Locale]:
        found = await self.store.settings(user_id)
        if found is None:
            raise UserNotFound
        return found
