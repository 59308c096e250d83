"""Privacy zones in SQL. The row of settings counts what was told of them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    CTE,
    DateTime,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Row, Statement
from services.identity.profiles.rules import UserNotFound
from services.identity.tables.profiles import PROFILES
from services.identity.tables.settings import PRIVACY_ZONES, SETTINGS
from services.identity.zones.rules import MOST_ZONES, Record, TooManyPrivacyZones, Zone

FORGET_AT_ONCE: Final = 1_000
_COLUMNS: Final = (
    "zone_id",
    "display_name",
    "latitude_deg",
    "longitude_deg",
    "radius_m",
    "version",
    "created_at",
    "updated_at",
)
_user: Any = bindparam("of_user", type_=Uuid())
_zone_id: Any = bindparam("of_zone", type_=Uuid())
_now: Any = bindparam("now", type_=DateTime(timezone=True))
_this = (PRIVACY_ZONES.c.user_id == _user) & (PRIVACY_ZONES.c.zone_id == _zone_id)
_alive = PRIVACY_ZONES.c.deleted_at.is_(None)
_columns = [PRIVACY_ZONES.c[name] for name in _COLUMNS]

# Changes of one person's wait at his row of settings for each other, and are counted there.
_ENSURE = Statement(
    postgresql.insert(SETTINGS)
    .from_select(
        ["user_id", "version", "told", "updated_at"],
        select(PROFILES.c.user_id, literal(0), literal(0), _now).where(PROFILES.c.user_id == _user),
    )
    .on_conflict_do_nothing()
)
_LOCK = Statement(select(SETTINGS.c.told).where(SETTINGS.c.user_id == _user).with_for_update())
_TOLD = Statement(
    select(PROFILES.c.user_id, SETTINGS.c.told, SETTINGS.c.zone_secret)
    .select_from(PROFILES.outerjoin(SETTINGS, SETTINGS.c.user_id == PROFILES.c.user_id))
    .where(PROFILES.c.user_id == _user)
)


def _telling(change: ReturningInsert[Any] | ReturningUpdate[Any], name: str) -> Statement:
    """A change that answers with whose it is, counted and told of in the same statement."""
    changed: CTE = change.cte(name)
    told = (
        update(SETTINGS)
        .where(SETTINGS.c.user_id == changed.c.user_id)
        .values(told=SETTINGS.c.told + 1)
        .returning(SETTINGS.c.told)
        .cte("told")
    )
    return Statement(outbox.publishing(told, told.c.told))


_RECORD = Statement(
    select(
        PRIVACY_ZONES.c.request_hash,
        PRIVACY_ZONES.c.created_at,
        PRIVACY_ZONES.c.deleted_at,
        *_columns,
    ).where(_this)
)
_count = (
    select(func.count()).select_from(PRIVACY_ZONES).where(PRIVACY_ZONES.c.user_id == _user, _alive)
)
_given: dict[str, Any] = {
    "user_id": _user,
    "zone_id": _zone_id,
    "request_hash": bindparam("request_hash", type_=PRIVACY_ZONES.c.request_hash.type),
    **{name: bindparam(f"new_{name}", type_=PRIVACY_ZONES.c[name].type) for name in _COLUMNS[1:]},
}
_CREATE = _telling(
    insert(PRIVACY_ZONES)
    .from_select(
        list(_given), select(*_given.values()).where(_count.scalar_subquery() < MOST_ZONES)
    )
    .returning(PRIVACY_ZONES.c.user_id),
    "created",
)
_ZONE = Statement(select(*_columns).where(_this, _alive))
_LIST = Statement(
    select(*_columns)
    .where(PRIVACY_ZONES.c.user_id == _user, _alive)
    .order_by(PRIVACY_ZONES.c.created_at, PRIVACY_ZONES.c.zone_id)
    .limit(MOST_ZONES)
)
_SAVE = _telling(
    update(PRIVACY_ZONES)
    .where(_this, _alive, PRIVACY_ZONES.c.version == bindparam("new_version") - 1)
    .values({name: bindparam(f"new_{name}") for name in _COLUMNS[1:] if name != "created_at"})
    .returning(PRIVACY_ZONES.c.user_id),
    "saved",
)
_DELETE = _telling(
    update(PRIVACY_ZONES)
    .where(_this, _alive)
    .values(
        deleted_at=_now,
        request_hash=b"",
        display_name="",
        latitude_deg=null(),
        longitude_deg=null(),
    )
    .returning(PRIVACY_ZONES.c.user_id),
    "deleted",
)
_old = (
    select(PRIVACY_ZONES.c.user_id, PRIVACY_ZONES.c.zone_id)
    .where(PRIVACY_ZONES.c.deleted_at < bindparam("before", type_=DateTime(timezone=True)))
    .limit(FORGET_AT_ONCE)
)
_FORGET = Statement(
    delete(PRIVACY_ZONES).where(tuple_(PRIVACY_ZONES.c.user_id, PRIVACY_ZONES.c.zone_id).in_(_old))
)


class ZoneStore:
    """Rows of privacy zones <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, zone: Zone, request_hash: bytes, event: outbox.Message) -> Record | None:
        """Adds a zone and tells of it; answers with the record where its id was used before.

        Raises:
            UserNotFound
            TooManyPrivacyZones: the person has as many as there may be.
        """
        key = {"of_user": zone.user_id, "of_zone": zone.zone_id}
        values = {**_values(zone), "request_hash": request_hash, **outbox.values(event)}
        async with self._database.transaction() as session:
            await session.run(_ENSURE, {"of_user": zone.user_id, "now": zone.created_at})
            if await session.row(_LOCK, {"of_user": zone.user_id}) is None:
                raise UserNotFound
            row = await session.row(_RECORD, key)
            if row is not None:
                found = _zone(zone.user_id, row[3:]) if row[2] is None else None
                return Record(bytes(row[0]), row[1], found)
            if not await session.run(_CREATE, values):
                raise TooManyPrivacyZones(f"at most {MOST_ZONES} zones are possible")
        return None

    async def zone(self, user_id: uuid.UUID, zone_id: uuid.UUID) -> Zone | None:
        """A zone, if there is such a one."""
        row = await self._database.row(_ZONE, {"of_user": user_id, "of_zone": zone_id})
        return _zone(user_id, row) if row else None

    async def zones(self, user_id: uuid.UUID) -> list[Zone]:
        """A person's zones, oldest first."""
        rows = await self._database.rows(_LIST, {"of_user": user_id})
        return [_zone(user_id, row) for row in rows]

    async def told(self, user_id: uuid.UUID) -> tuple[int, bytes] | None:
        """How often others were told of changes, and the secret of the person's covers.

        The secret is empty before the first zone or setting. None where there is nobody.
        """
        row = await self._database.row(_TOLD, {"of_user": user_id})
        return (int(row[1] or 0), row[2].bytes if row[2] else b"") if row else None

    async def save(self, zone: Zone, event: outbox.Message) -> bool:
        """Replaces the version before `zone`'s and tells of it; false where that is gone."""
        values = {**_values(zone), **outbox.values(event)}
        del values["new_created_at"]
        return await self._database.run(_SAVE, values) == 1

    async def delete(
        self, user_id: uuid.UUID, zone_id: uuid.UUID, now: datetime, event: outbox.Message
    ) -> bool:
        """Deletes a zone and where it was, once; false where there never was one."""
        key = {"of_user": user_id, "of_zone": zone_id}
        if await self._database.run(_DELETE, {**key, "now": now, **outbox.values(event)}):
            return True
        return await self._database.row(_RECORD, key) is not None

    async def forget(self, before: datetime) -> int:
        """Drops some of the zones that were deleted before a time; answers how many."""
        return await self._database.run(_FORGET, {"before": before})


def _zone(user_id: uuid.UUID, row: Row) -> Zone:
    return Zone(user_id, *row)


def _values(zone: Zone) -> dict[str, Any]:
    return {
        "of_user": zone.user_id,
        "of_zone": zone.zone_id,
        **{f"new_{name}": getattr(zone, name) for name in _COLUMNS[1:]},
    }
