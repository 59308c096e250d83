"""Use cases of devices."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from mesh.runtime.clock import Clock
from services.integration.devices import rules
from services.integration.devices.rules import Description, Device
from services.integration.devices.store import FORGET_AT_ONCE, DeviceStore

BEGINNING = (datetime.fromtimestamp(0, UTC), uuid.UUID(int=0))
"""Where the first page of a list begins."""
MOST_FORGETTINGS = 100


@dataclass(frozen=True, slots=True)
class DeviceFlow:
    """Adding, listing and deleting a person's devices."""

    store: DeviceStore
    clock: Clock

    async def register(
        self, user_id: uuid.UUID, device_id: uuid.UUID, description: Description
    ) -> Device:
        """Adds a device; a repeat answers as the first call did, and revives nothing.

        Raises:
            RequestIdReused, TooManyDevices
        """
        device = Device(user_id, device_id, description, self.clock())
        record = await self.store.register(device)
        return device if record is None else rules.repeated(device, record)

    async def devices(
        self, user_id: uuid.UUID, after: tuple[datetime, uuid.UUID], size: int
    ) -> tuple[list[Device], bool]:
        """A page of a person's devices, oldest first, and whether more follow."""
        found = await self.store.devices(user_id, after, size + 1)
        return found[:size], len(found) > size

    async def delete(self, user_id: uuid.UUID, device_id: uuid.UUID) -> None:
        """Deletes a device; a repeat changes nothing.

        Raises:
            DeviceNotFound: there never was one.
        """
        if not await self.store.delete(user_id, device_id, self.clock()):
            raise rules.DeviceNotFound

    async def forget(self) -> None:
        """Drops what is left of devices that were deleted long ago."""
        before = self.clock() - rules.REMEMBER_DELETED
        for _ in range(MOST_FORGETTINGS):
            if await self.store.forget(before) < FORGET_AT_ONCE:
                return
