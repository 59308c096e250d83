"""Settings in SQL."""

from __future__ import annotations

import uuid
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, DateTime, Uuid, bindparam, literal, or_, select
from sqlalchemy.dialects import postgresql

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Row, Statement
from services.identity.settings.rules.locales import Locale
from services.identity.settings.rules.notifications import Channel, Choices, Kind, QuietHours
from services.identity.settings.rules.settings import Settings, Units
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.profiles import PROFILES
from services.identity.tables.settings import SETTINGS
from services.identity.visibility.rules import Audience

_CHOSEN: Final = (
    "language",
    "unit_system",
    "distance_unit",
    "height_unit",
    "weight_unit",
    "temperature_unit",
    "time_zone",
    "first_day_of_week",
    "theme",
    "notifications",
    "quiet_from",
    "quiet_to",
    "quiet_days",
    "default_activity_audience",
)
_user: Any = bindparam("of_user", type_=Uuid())
# Whoever has a profile has settings, be there a row of them or not.
_SETTINGS = Statement(
    select(
        PROFILES.c.user_id,
        ACCOUNTS.c.language,
        ACCOUNTS.c.country,
        SETTINGS.c.version,
        SETTINGS.c.told,
        SETTINGS.c.updated_at,
        *(SETTINGS.c[name] for name in _CHOSEN),
    )
    .select_from(
        PROFILES.join(ACCOUNTS, ACCOUNTS.c.user_id == PROFILES.c.user_id).outerjoin(
            SETTINGS, SETTINGS.c.user_id == PROFILES.c.user_id
        )
    )
    .where(PROFILES.c.user_id == _user)
)
_version: Any = bindparam("new_version", type_=BigInteger())
_new: dict[str, Any] = {
    "version": _version,
    "updated_at": bindparam("new_updated_at", type_=DateTime(timezone=True)),
    **{name: bindparam(f"new_{name}", type_=SETTINGS.c[name].type) for name in _CHOSEN},
}
_row = select(PROFILES.c.user_id, literal(1), *_new.values()).where(
    PROFILES.c.user_id == _user,
    # Only the first version makes a row: what was erased does not come back.
    or_(_version == 1, select(literal(1)).where(SETTINGS.c.user_id == _user).exists()),
)
_saved = (
    postgresql.insert(SETTINGS)
    .from_select(["user_id", "told", *_new], _row)
    .on_conflict_do_update(
        index_elements=[SETTINGS.c.user_id],
        set_={**_new, "told": SETTINGS.c.told + 1},
        where=SETTINGS.c.version == _version - 1,
    )
    .returning(SETTINGS.c.told)
    .cte("saved")
)
_SAVE = Statement(outbox.publishing(_saved, _saved.c.told))


class SettingsStore:
    """Rows of settings <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settings(self, user_id: uuid.UUID) -> tuple[Settings, Locale] | None:
        """What a person has chosen, and the locale that he registered with."""
        row = await self._database.row(_SETTINGS, {"of_user": user_id})
        if row is None:
            return None
        locale = Locale(row[1] or "", row[2] or "")
        return (Settings(user_id) if row[3] is None else _settings(user_id, row[3:])), locale

    async def save(self, settings: Settings, event: outbox.Message) -> bool:
        """Replaces the version before and tells of it; false where that is gone."""
        values = {**_values(settings), **outbox.values(event)}
        return await self._database.run(_SAVE, values) == 1


def _settings(user_id: uuid.UUID, row: Row) -> Settings:
    version, told, updated_at, language, *rest = row
    *units, time_zone, first_day, theme, choices, start, end, days, audience = rest
    return Settings(
        user_id,
        version,
        told,
        updated_at,
        language,
        Units(*units),
        time_zone,
        first_day,
        theme,
        _choices(choices),
        None if start is None else QuietHours(start, end, tuple(days)),
        Audience(audience),
    )


def _choices(told: dict[str, list[str]]) -> Choices:
    # A kind that there is no more is passed over.
    return {
        Kind[kind]: frozenset(Channel[each] for each in channels)
        for kind, channels in told.items()
        if kind in Kind.__members__
    }


def _values(settings: Settings) -> dict[str, Any]:
    units, quiet = settings.units, settings.quiet_hours
    choices = {
        kind.name: sorted(each.name for each in channels)
        for kind, channels in sorted(settings.notifications.items())
    }
    chosen: dict[str, Any] = {
        "version": settings.version,
        "updated_at": settings.updated_at,
        "language": settings.language,
        "unit_system": units.system,
        "distance_unit": units.distance,
        "height_unit": units.height,
        "weight_unit": units.weight,
        "temperature_unit": units.temperature,
        "time_zone": settings.time_zone,
        "first_day_of_week": settings.first_day_of_week,
        "theme": settings.theme,
        "notifications": orjson.dumps(choices).decode(),
        "quiet_from": quiet.from_minute if quiet else None,
        "quiet_to": quiet.to_minute if quiet else None,
        "quiet_days": list(quiet.days) if quiet else None,
        "default_activity_audience": int(settings.default_activity_audience),
    }
    return {"of_user": settings.user_id, **{f"new_{name}": each for name, each in chosen.items()}}
