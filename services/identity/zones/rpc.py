"""PrivacyZoneService: decode, call, encode."""

from __future__ import annotations

from mesh.runtime import Call, masks, names
from mesh.runtime.ids import keyed_id, uuid7
from palestra.identity.v1 import privacy_zone_service_pb2 as pb
from services.identity.profiles.encoding import timestamp
from services.identity.zones.flow import ZoneFlow
from services.identity.zones.rules import CHANGEABLE, Wanted, Zone


class ZoneRpc:
    """Serves palestra.identity.v1.PrivacyZoneService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["PrivacyZoneService"]

    def __init__(self, flow: ZoneFlow) -> None:
        self._flow = flow

    async def ListPrivacyZones(
        self, request: pb.ListPrivacyZonesRequest, call: Call
    ) -> pb.ListPrivacyZonesResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        found = await self._flow.zones(user_id)
        return pb.ListPrivacyZonesResponse(privacy_zones=map(_encode, found))

    async def CreatePrivacyZone(
        self, request: pb.CreatePrivacyZoneRequest, call: Call
    ) -> pb.CreatePrivacyZoneResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        request_id = request.request_id or call.request_id or str(uuid7())
        zone_id = keyed_id(user_id, call.method, request_id)
        done = await self._flow.create(user_id, zone_id, _decode(request.privacy_zone))
        return pb.CreatePrivacyZoneResponse(privacy_zone=_encode(done))

    async def UpdatePrivacyZone(
        self, request: pb.UpdatePrivacyZoneRequest, call: Call
    ) -> pb.UpdatePrivacyZoneResponse:
        zone = request.privacy_zone
        ids = names.parse(zone.name, "users", "privacyZones", field="privacy_zone.name")
        user_id, zone_id = ids
        fields = masks.to_change(request.update_mask, zone, CHANGEABLE)
        done = await self._flow.update(user_id, zone_id, _decode(zone), fields, zone.etag)
        return pb.UpdatePrivacyZoneResponse(privacy_zone=_encode(done))

    async def DeletePrivacyZone(
        self, request: pb.DeletePrivacyZoneRequest, call: Call
    ) -> pb.DeletePrivacyZoneResponse:
        user_id, zone_id = names.parse(request.name, "users", "privacyZones")
        await self._flow.delete(user_id, zone_id)
        return pb.DeletePrivacyZoneResponse()

    async def GetPrivacyZones(
        self, request: pb.GetPrivacyZonesRequest, call: Call
    ) -> pb.GetPrivacyZonesResponse:
        (user_id,) = names.parse(request.name, "users")
        found, version = await self._flow.kept(user_id)
        circles = [pb.Circle(**each._asdict()) for each in found]
        return pb.GetPrivacyZonesResponse(circles=circles, version=version)


def _decode(zone: pb.PrivacyZone) -> Wanted:
    return Wanted(
        zone.display_name,
        zone.latitude_deg if zone.HasField("latitude_deg") else None,
        zone.longitude_deg if zone.HasField("longitude_deg") else None,
        zone.radius_m,
    )


def _encode(zone: Zone) -> pb.PrivacyZone:
    return pb.PrivacyZone(
        name=zone.name,
        display_name=zone.display_name,
        latitude_deg=zone.latitude_deg,
        longitude_deg=zone.longitude_deg,
        radius_m=zone.radius_m,
        create_time=timestamp(zone.created_at),
        update_time=timestamp(zone.updated_at),
        etag=zone.etag,
    )
