"""Devices in SQL."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Uuid,
    bindparam,
    delete,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql

from mesh.runtime.sql import Conflict, Database, Statement
from services.integration.devices.rules import (
    MOST_DEVICES,
    Description,
    Device,
    Kind,
    Record,
    TooManyDevices,
)
from services.integration.tables import DEVICE_COUNTS, DEVICES

FORGET_AT_ONCE = 1000
_user: ColumnElement[uuid.UUID] = bindparam("of_user", type_=Uuid())
_this = (DEVICES.c.user_id == _user) & (DEVICES.c.device_id == bindparam("of_device"))
_RECORD = Statement(select(DEVICES.c.request_hash, DEVICES.c.created_at).where(_this))

# Count and device are one change. The count's row lock puts registrations of one
# person in a row; a repeat at the same instant breaks the key and undoes its count.
_counted = (
    postgresql.insert(DEVICE_COUNTS)
    .from_select(
        ["user_id", "devices"],
        select(_user, literal(1)).where(~select(literal(1)).where(_this).exists()),
    )
    .on_conflict_do_update(
        index_elements=[DEVICE_COUNTS.c.user_id],
        set_={"devices": DEVICE_COUNTS.c.devices + 1},
        where=DEVICE_COUNTS.c.devices < MOST_DEVICES,
    )
    .returning(DEVICE_COUNTS.c.user_id)
    .cte("counted")
)
_given = (
    "device_id",
    "display_name",
    "kind",
    "manufacturer",
    "model",
    "serial_number",
    "request_hash",
    "created_at",
)
_REGISTER = Statement(
    insert(DEVICES)
    .from_select(
        ["user_id", *_given],
        select(
            _counted.c.user_id,
            *(
                bindparam("of_device" if name == "device_id" else name, type_=DEVICES.c[name].type)
                for name in _given
            ),
        ),
    )
    .returning(DEVICES.c.device_id)
)

_after = tuple_(DEVICES.c.created_at, DEVICES.c.device_id) > tuple_(
    bindparam("after_created_at", type_=DateTime(timezone=True)),
    bindparam("after_device", type_=Uuid()),
)
_LIST = Statement(
    select(
        DEVICES.c.device_id,
        DEVICES.c.display_name,
        DEVICES.c.kind,
        DEVICES.c.manufacturer,
        DEVICES.c.model,
        DEVICES.c.serial_number,
        DEVICES.c.created_at,
    )
    .where(DEVICES.c.user_id == _user, DEVICES.c.deleted_at.is_(None), _after)
    .order_by(DEVICES.c.created_at, DEVICES.c.device_id)
    .limit(bindparam("most"))
)

# The count first, as registrations lock it: two calls never wait for each other.
_locked = (
    select(DEVICE_COUNTS.c.user_id)
    .where(DEVICE_COUNTS.c.user_id == _user)
    .with_for_update()
    .cte("locked")
)
_gone = (
    update(DEVICES)
    .where(_this, DEVICES.c.deleted_at.is_(None), DEVICES.c.user_id == _locked.c.user_id)
    .values(
        deleted_at=bindparam("now", type_=DateTime(timezone=True)),
        display_name="",
        manufacturer="",
        model="",
        serial_number="",
    )
    .returning(DEVICES.c.user_id)
    .cte("gone")
)
_less = (
    update(DEVICE_COUNTS)
    .where(DEVICE_COUNTS.c.user_id == _gone.c.user_id)
    .values(devices=DEVICE_COUNTS.c.devices - 1)
    .returning(DEVICE_COUNTS.c.devices)
    .cte("less")
)
_DELETE = Statement(select(DEVICES.c.device_id).where(_this).add_cte(_less))
_old = (
    select(DEVICES.c.user_id, DEVICES.c.device_id)
    .where(DEVICES.c.deleted_at < bindparam("before", type_=DateTime(timezone=True)))
    .limit(FORGET_AT_ONCE)
)
_FORGET = Statement(delete(DEVICES).where(tuple_(DEVICES.c.user_id, DEVICES.c.device_id).in_(_old)))


class DeviceStore:
    """Rows of devices <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, device: Device) -> Record | None:
        """Adds a device; answers with the record where its id was registered before.

        Raises:
            TooManyDevices: the person has as many as there may be.
        """
        try:
            if await self._database.run(_REGISTER, _values(device)) == 1:
                return None
        except Conflict as conflict:
            if conflict.constraint != "devices_pkey":
                raise
        row = await self._database.row(
            _RECORD, {"of_user": device.user_id, "of_device": device.device_id}
        )
        if row is None:
            raise TooManyDevices(f"at most {MOST_DEVICES} devices are possible")
        return Record(*row)

    async def devices(
        self, user_id: uuid.UUID, after: tuple[datetime, uuid.UUID], most: int
    ) -> list[Device]:
        """A person's devices, oldest first, that come after a time and id."""
        values = {
            "of_user": user_id,
            "after_created_at": after[0],
            "after_device": after[1],
            "most": most,
        }
        rows = await self._database.rows(_LIST, values)
        return [
            Device(user_id, device_id, Description(name, Kind(kind), *texts), created_at)
            for device_id, name, kind, *texts, created_at in rows
        ]

    async def delete(self, user_id: uuid.UUID, device_id: uuid.UUID, now: datetime) -> bool:
        """Deletes a device, once; false where there never was one."""
        values = {"of_user": user_id, "of_device": device_id, "now": now}
        return await self._database.row(_DELETE, values) is not None

    async def forget(self, before: datetime) -> int:
        """Drops some of the devices that were deleted before a time; answers how many."""
        return await self._database.run(_FORGET, {"before": before})


def _values(device: Device) -> dict[str, object]:
    description = device.description
    return {
        "of_user": device.user_id,
        "of_device": device.device_id,
        "display_name": description.display_name,
        "kind": int(description.kind),
        "manufacturer": description.manufacturer,
        "model": description.model,
        "serial_number": description.serial_number,
        "request_hash": description.fingerprint,
        "created_at": device.created_at,
    }
