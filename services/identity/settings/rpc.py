"""SettingsService: decode, call, encode."""

from __future__ import annotations

import uuid

from mesh.runtime import Call, masks, names
from palestra.identity.v1 import settings_service_pb2 as pb
from services.identity.settings import encoding
from services.identity.settings.flow import SettingsFlow
from services.identity.settings.rules.settings import CHANGEABLE

_OF_USER = "/settings"


class SettingsRpc:
    """Serves palestra.identity.v1.SettingsService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["SettingsService"]

    def __init__(self, flow: SettingsFlow) -> None:
        self._flow = flow

    async def GetSettings(
        self, request: pb.GetSettingsRequest, call: Call
    ) -> pb.GetSettingsResponse:
        found = await self._flow.settings(_user(request.name, "name"))
        return pb.GetSettingsResponse(settings=encoding.settings(found))

    async def UpdateSettings(
        self, request: pb.UpdateSettingsRequest, call: Call
    ) -> pb.UpdateSettingsResponse:
        settings = request.settings
        user_id = _user(settings.name, "settings.name")
        fields = masks.to_change(request.update_mask, settings, CHANGEABLE)
        wanted = encoding.wanted(user_id, settings)
        done = await self._flow.update(user_id, wanted, fields, settings.etag)
        return pb.UpdateSettingsResponse(settings=encoding.settings(done))

    async def GetNotificationChoices(
        self, request: pb.GetNotificationChoicesRequest, call: Call
    ) -> pb.GetNotificationChoicesResponse:
        (user_id,) = names.parse(request.name, "users")
        found = await self._flow.settings(user_id)
        return pb.GetNotificationChoicesResponse(
            choices=encoding.choices(found.notifications),
            quiet_hours=encoding.quiet_hours(found.quiet_hours),
            time_zone=found.time_zone,
            language=found.language,
            version=found.told,
        )

    async def GetActivityDefaults(
        self, request: pb.GetActivityDefaultsRequest, call: Call
    ) -> pb.GetActivityDefaultsResponse:
        (user_id,) = names.parse(request.name, "users")
        found = await self._flow.settings(user_id)
        audience = found.default_activity_audience
        return pb.GetActivityDefaultsResponse(
            audience=encoding.audience(audience), version=found.told
        )


def _user(name: str, field: str) -> uuid.UUID:
    (user_id,) = names.parse(name.removesuffix(_OF_USER), "users", field=field)
    return user_id
