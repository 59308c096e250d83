"""Profiles in SQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Uuid, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Row, Statement
from services.identity.profiles.rules import PlayedSport, Profile, Visibility
from services.identity.profiles.rules.profile import VISIBLE
from services.identity.tables.profiles import PROFILES
from services.identity.visibility.rules import Audience

_PLAIN = (
    "user_id",
    "display_name",
    "bio",
    "version",
    "created_at",
    "updated_at",
    "avatar",
    "avatar_upload",
    "card_version",
)
_TOLD = ("birth_date", "sex", "height_cm", "interests", "city")
_AUDIENCES = tuple(f"{each}_audience" for each in VISIBLE)
_PROFILE = Statement(
    select(
        *(PROFILES.c[name] for name in (*_PLAIN, "sports", "sport_levels", *_TOLD, *_AUDIENCES))
    ).where(PROFILES.c.user_id == bindparam("of_user"))
)
_CARDS = Statement(
    select(PROFILES.c.user_id, PROFILES.c.display_name, PROFILES.c.avatar).where(
        PROFILES.c.user_id == func.any(bindparam("people", type_=ARRAY(Uuid)))
    )
)
_saved = (*(set(_PLAIN) - {"user_id", "created_at"}), "sports", "sport_levels", *_TOLD, *_AUDIENCES)
_changed = (
    update(PROFILES)
    .where(
        PROFILES.c.user_id == bindparam("of_user"),
        PROFILES.c.version == bindparam("new_version") - 1,
    )
    .values(
        **{name: bindparam(f"new_{name}") for name in sorted(_saved)},
        # Until somebody has looked whether files of an earlier one are left.
        avatar_stale=PROFILES.c.avatar_stale | (PROFILES.c.avatar != bindparam("new_avatar")),
    )
    .returning(PROFILES.c.card_version)
)
_SAVE = Statement(_changed)
_telling = _changed.cte("changed")
_SAVE_AND_TELL = Statement(outbox.publishing(_telling, _telling.c.card_version))

_STALE = Statement(
    select(PROFILES.c.user_id, PROFILES.c.avatar, PROFILES.c.version)
    .where(PROFILES.c.avatar_stale, PROFILES.c.updated_at < bindparam("before"))
    .limit(bindparam("most"))
)
_SWEPT = Statement(
    update(PROFILES)
    .where(PROFILES.c.user_id == bindparam("of_user"), PROFILES.c.version == bindparam("seen"))
    .values(avatar_stale=False)
)


class ProfileStore:
    """Rows of profiles <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def profile(self, user_id: uuid.UUID) -> Profile | None:
        """A person's profile, if there is such a person."""
        row = await self._database.row(_PROFILE, {"of_user": user_id})
        return _profile(row) if row else None

    async def cards(self, people: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[str, str]]:
        """Name and avatar of each of them that there is."""
        rows = await self._database.rows(_CARDS, {"people": list(people)})
        return {user_id: (display_name, avatar) for user_id, display_name, avatar in rows}

    async def save(self, profile: Profile, event: outbox.Message | None) -> bool:
        """Replaces the version before `profile`'s; false where that is gone.

        With an event, the card changed, which is told in the same statement.
        """
        values = _values(profile)
        if event is None:
            return await self._database.run(_SAVE, values) == 1
        return await self._database.run(_SAVE_AND_TELL, {**values, **outbox.values(event)}) == 1

    async def stale_avatars(
        self, before: datetime, most: int
    ) -> Sequence[tuple[uuid.UUID, str, int]]:
        """Who changed his picture before then and may have files of an earlier one: who,
        the picture of today, the version.
        """
        rows = await self._database.rows(_STALE, {"before": before, "most": most})
        return [(user, avatar, version) for user, avatar, version in rows]

    async def swept(self, user: uuid.UUID, seen: int) -> None:
        """Nothing of earlier pictures is left, as of the version that was seen."""
        await self._database.run(_SWEPT, {"of_user": user, "seen": seen})


def _profile(row: Row) -> Profile:
    told = len(_PLAIN)
    sports, levels, born, sex, height_cm, interests, city, *audiences = row[told:]
    rest: Row = (
        tuple(map(PlayedSport, sports, levels)),
        born,
        sex,
        height_cm,
        tuple(interests),
        city,
        Visibility(*map(Audience, audiences)),
    )
    return Profile(*row[:told], *rest)


def _values(profile: Profile) -> dict[str, Any]:
    values = {f"new_{name}": getattr(profile, name) for name in (*_PLAIN[1:], *_TOLD)}
    del values["new_created_at"]
    return values | {
        "of_user": profile.user_id,
        "new_sports": [each.sport for each in profile.sports],
        "new_sport_levels": [each.level for each in profile.sports],
        "new_interests": list(profile.interests),
        **{f"new_{each}_audience": int(getattr(profile.visibility, each)) for each in VISIBLE},
    }
