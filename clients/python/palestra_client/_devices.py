"""The devices of one person: list, add, remove.

A part of the façade; decides nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from palestra.integration.v1 import device_service_pb2 as pb
from palestra_client._calls import Caller
from palestra_client._contract import rule_of

if TYPE_CHECKING:
    from palestra.integration.v1.device_service_pb2_grpc import DeviceServiceAsyncStub

PAGE = 100


class Devices:
    """The watches and sensors of one person."""

    def __init__(self, stub: DeviceServiceAsyncStub, caller: Caller, user: str) -> None:
        self._stub = stub
        self._caller = caller
        self._user = user

    async def register(self, device: pb.Device, request_id: str = "") -> pb.Device:
        """Adds a device; a repeat with the same request id answers with the first one."""
        request = pb.RegisterDeviceRequest(parent=self._user, device=device, request_id=request_id)
        rule = rule_of(pb.DESCRIPTOR, "DeviceService", "RegisterDevice")
        return (await self._caller.unary(self._stub.RegisterDevice, request, rule)).device

    async def list(self) -> AsyncIterator[pb.Device]:
        """The devices, fetched page by page as they are taken."""
        rule = rule_of(pb.DESCRIPTOR, "DeviceService", "ListDevices")
        request = pb.ListDevicesRequest(parent=self._user, page_size=PAGE)
        while True:
            page = await self._caller.unary(self._stub.ListDevices, request, rule)
            for device in page.devices:
                yield device
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def delete(self, name: str) -> None:
        """Removes `users/{user}/devices/{device}`; one that is gone already is no error."""
        rule = rule_of(pb.DESCRIPTOR, "DeviceService", "DeleteDevice")
        request = pb.DeleteDeviceRequest(name=name)
        await self._caller.unary(self._stub.DeleteDevice, request, rule)
