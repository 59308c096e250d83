"""AddressService: decode, call, encode."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, names
from palestra.identity.v1 import address_service_pb2 as pb
from services.identity.addresses.flow import AddressFlow
from services.identity.addresses.rules import Address, State

_STATES = {
    State.VERIFIED: pb.ADDRESS_STATE_VERIFIED,
    State.CLAIMED: pb.ADDRESS_STATE_UNVERIFIED,
    State.PENDING: pb.ADDRESS_STATE_PENDING,
}


class AddressRpc:
    """Serves palestra.identity.v1.AddressService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["AddressService"]

    def __init__(self, flow: AddressFlow) -> None:
        self._flow = flow

    async def ListAddresses(
        self, request: pb.ListAddressesRequest, call: Call
    ) -> pb.ListAddressesResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        found = await self._flow.all(user_id)
        return pb.ListAddressesResponse(addresses=[_encode(each) for each in found])

    async def AddAddress(self, request: pb.AddAddressRequest, call: Call) -> pb.AddAddressResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        added = await self._flow.add(user_id, request.email, request.phone)
        return pb.AddAddressResponse(address=_encode(added))

    async def SendVerificationCode(
        self, request: pb.SendVerificationCodeRequest, call: Call
    ) -> pb.SendVerificationCodeResponse:
        await self._flow.send_code(*names.parse(request.name, "users", "addresses"))
        return pb.SendVerificationCodeResponse()

    async def VerifyAddress(
        self, request: pb.VerifyAddressRequest, call: Call
    ) -> pb.VerifyAddressResponse:
        user_id, address_id = names.parse(request.name, "users", "addresses")
        found = await self._flow.verify(user_id, address_id, request.code)
        return pb.VerifyAddressResponse(address=_encode(found))

    async def MakePrimaryAddress(
        self, request: pb.MakePrimaryAddressRequest, call: Call
    ) -> pb.MakePrimaryAddressResponse:
        found = await self._flow.make_primary(*names.parse(request.name, "users", "addresses"))
        return pb.MakePrimaryAddressResponse(address=_encode(found))

    async def RemoveAddress(
        self, request: pb.RemoveAddressRequest, call: Call
    ) -> pb.RemoveAddressResponse:
        await self._flow.remove(*names.parse(request.name, "users", "addresses"))
        return pb.RemoveAddressResponse()


def _encode(address: Address) -> pb.Address:
    told = pb.Address(
        name=f"users/{address.user_id}/addresses/{address.address_id}",
        state=_STATES[address.state],
        primary=address.is_primary,
        create_time=_timestamp(address.created_at),
    )
    setattr(told, address.channel, address.address)
    if address.verified_at is not None:
        told.verify_time.CopyFrom(_timestamp(address.verified_at))
    return told


def _timestamp(at: datetime) -> Timestamp:
    encoded = Timestamp()
    encoded.FromDatetime(at)
    return encoded
