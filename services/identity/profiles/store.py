"""Profiles in SQL."""

from __future__ import annotations

import uuid

from sqlalchemy import bindparam, select, update

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Statement
from services.identity.profiles.rules import Profile
from services.identity.tables import PROFILES

_PROFILE = Statement(
    select(
        PROFILES.c.user_id,
        PROFILES.c.display_name,
        PROFILES.c.bio,
        PROFILES.c.version,
        PROFILES.c.created_at,
        PROFILES.c.updated_at,
    ).where(PROFILES.c.user_id == bindparam("of_user"))
)
_changed = (
    update(PROFILES)
    .where(
        PROFILES.c.user_id == bindparam("of_user"),
        PROFILES.c.version == bindparam("new_version") - 1,
    )
    .values(
        display_name=bindparam("new_display_name"),
        bio=bindparam("new_bio"),
        version=bindparam("new_version"),
        updated_at=bindparam("new_updated_at"),
    )
    .returning(PROFILES.c.version)
    .cte("changed")
)
_SAVE = Statement(outbox.publishing(_changed, _changed.c.version))


class ProfileStore:
    """Rows of profiles <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def profile(self, user_id: uuid.UUID) -> Profile | None:
        """A person's profile, if there is such a person."""
        row = await self._database.row(_PROFILE, {"of_user": user_id})
        return Profile(*row) if row else None

    async def save(self, profile: Profile, event: outbox.Message) -> bool:
        """Replaces the version before `profile`'s and tells of it; false where that is gone."""
        values = {
            "of_user": profile.user_id,
            "new_version": profile.version,
            "new_display_name": profile.display_name,
            "new_bio": profile.bio,
            "new_updated_at": profile.updated_at,
            **outbox.values(event),
        }
        return await self._database.run(_SAVE, values) == 1
