"""What an owner hides, as identity tells it: remembered for moments, forgotten when it changes.

Owns the memory of one process. Nothing of it is ever written down: the circles are near to
where people live. Where it cannot be known what is hidden, that is said (None), and whoever
asks shows no place.
"""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import grpc

from mesh.runtime.channel import MeshChannel
from mesh.runtime.errors import MeshError
from palestra.identity.v1.privacy_zone_service_pb2 import GetPrivacyZonesRequest
from palestra.identity.v1.privacy_zone_service_pb2_grpc import PrivacyZoneServiceStub
from services.training.sharing.rules.zones import Circle

MOST_OWNERS: Final = 10_000
KEPT_S: Final = 30.0
"""Should an event be lost, for so long older zones are kept to."""


class _Known(NamedTuple):
    circles: Sequence[Circle]
    version: int
    asked_s: float


@dataclass(frozen=True, slots=True)
class Zones:
    """The circles of owners."""

    mesh: MeshChannel
    clock_s: Callable[[], float] = time.monotonic
    _known: OrderedDict[uuid.UUID, _Known] = field(default_factory=OrderedDict)

    async def of(self, owner: uuid.UUID, told: int, *, heard: bool) -> Sequence[Circle] | None:
        """What an owner hides; None where that cannot be known now.

        `told` is the newest change that was told of; `heard`, whether the bus that tells of
        changes is known to be alive: else nothing that is remembered is good.
        """
        known = self._known.get(owner)
        now_s = self.clock_s()
        if known and heard and known.version >= told and now_s - known.asked_s < KEPT_S:
            self._known.move_to_end(owner)
            return known.circles
        found = await self._ask(owner, now_s)
        if found is None or found.version < told:
            return None
        self._keep(owner, found)
        return found.circles

    async def _ask(self, owner: uuid.UUID, now_s: float) -> _Known | None:
        stub = PrivacyZoneServiceStub(self.mesh.for_stubs())
        try:
            told = await stub.GetPrivacyZones(GetPrivacyZonesRequest(name=f"users/{owner}"))
        except (grpc.aio.AioRpcError, MeshError):
            return None
        circles = tuple(
            Circle(each.latitude_deg, each.longitude_deg, each.radius_m) for each in told.circles
        )
        return _Known(circles, told.version, now_s)

    def _keep(self, owner: uuid.UUID, found: _Known) -> None:
        known = self._known.get(owner)
        # Two may have asked at once: what is newer stays.
        if known is None or known.version <= found.version:
            self._known[owner] = found
            self._known.move_to_end(owner)
        while len(self._known) > MOST_OWNERS:
            self._known.popitem(last=False)
