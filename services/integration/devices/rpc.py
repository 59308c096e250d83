"""DeviceService: decode, call, encode."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import cast

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, names, pages
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import keyed_id, uuid7
from palestra.integration.v1 import device_service_pb2 as pb
from services.integration.devices.flow import BEGINNING, DeviceFlow
from services.integration.devices.rules import Description, Device, described

USUAL_PAGE = 50


class DeviceRpc:
    """Serves palestra.integration.v1.DeviceService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["DeviceService"]

    def __init__(self, flow: DeviceFlow) -> None:
        self._flow = flow

    async def RegisterDevice(
        self, request: pb.RegisterDeviceRequest, call: Call
    ) -> pb.RegisterDeviceResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        request_id = request.request_id or call.request_id or str(uuid7())
        device_id = keyed_id(user_id, call.method, request_id)
        done = await self._flow.register(user_id, device_id, _decode(request.device))
        return pb.RegisterDeviceResponse(device=_encode(done))

    async def ListDevices(
        self, request: pb.ListDevicesRequest, call: Call
    ) -> pb.ListDevicesResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        page_key = f"devices of {user_id}"
        after = _cursor(pages.cursor(page_key, request.page_token))
        found, more = await self._flow.devices(user_id, after, request.page_size or USUAL_PAGE)
        answer = pb.ListDevicesResponse(devices=map(_encode, found))
        if more:
            last = found[-1]
            answer.next_page_token = pages.token(
                page_key, [last.created_at.isoformat(), str(last.device_id)]
            )
        return answer

    async def DeleteDevice(
        self, request: pb.DeleteDeviceRequest, call: Call
    ) -> pb.DeleteDeviceResponse:
        user_id, device_id = names.parse(request.name, "users", "devices")
        await self._flow.delete(user_id, device_id)
        return pb.DeleteDeviceResponse()


def _decode(device: pb.Device) -> Description:
    return described(
        device.display_name, device.kind, device.manufacturer, device.model, device.serial_number
    )


def _encode(device: Device) -> pb.Device:
    created = Timestamp()
    created.FromDatetime(device.created_at)
    told = device.description
    return pb.Device(
        name=device.name,
        display_name=told.display_name,
        kind=cast("pb.DeviceKind.ValueType", int(told.kind)),
        manufacturer=told.manufacturer,
        model=told.model,
        serial_number=told.serial_number,
        create_time=created,
    )


def _cursor(found: list[object] | None) -> tuple[datetime, uuid.UUID]:
    if found is None:
        return BEGINNING
    try:
        created_at, device_id = found
        return datetime.fromisoformat(str(created_at)), uuid.UUID(str(device_id))
    except ValueError:
        raise MeshError("PAGE_TOKEN_INVALID") from None
