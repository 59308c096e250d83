"""What identity tells training of owners: defaults and what covers zones; it can be away.

Stands for the way into identity, which is called at once and by nobody else.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
from grpc.aio import Metadata

from mesh.runtime.channel import MeshChannel
from palestra.identity.v1 import privacy_zone_service_pb2 as zones_pb
from palestra.identity.v1 import settings_service_pb2 as settings_pb


@dataclass
class Owners:
    """Of everybody the same default, unless it is said; no zones."""

    default: int = 4
    defaults: dict[uuid.UUID, int] = field(default_factory=dict)
    zones: dict[uuid.UUID, list[zones_pb.Circle]] = field(default_factory=dict)
    versions: dict[uuid.UUID, int] = field(default_factory=dict)
    away: bool = False
    unknown: set[uuid.UUID] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    holding: asyncio.Event | None = None
    """Where it is there, answers wait for it: what is answered was read before."""

    @property
    def mesh(self) -> MeshChannel:
        """As training takes it."""
        return cast("MeshChannel", self)

    def for_stubs(self) -> Owners:
        return self

    def unary_unary(self, path: str, *codec: Any, **more: Any) -> Callable[..., Awaitable[Any]]:
        method = path.rpartition("/")[2]

        async def call(request: Any) -> Any:
            self.asked.append(method)
            user = uuid.UUID(request.name.removeprefix("users/"))
            if self.away:
                raise _error(grpc.StatusCode.UNAVAILABLE)
            if user in self.unknown:
                raise _error(grpc.StatusCode.NOT_FOUND)
            answer = self._answer(method, user)
            if self.holding is not None:
                await self.holding.wait()
            return answer

        return call

    def _answer(self, method: str, user: uuid.UUID) -> Any:
        version = self.versions.get(user, 0)
        if method == "GetActivityDefaults":
            audience: Any = self.defaults.get(user, self.default)
            return settings_pb.GetActivityDefaultsResponse(audience=audience, version=version)
        assert method == "GetPrivacyZones", method
        circles = self.zones.get(user, [])
        return zones_pb.GetPrivacyZonesResponse(circles=circles, version=version)


def _error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, Metadata(), Metadata(), "", "")
