"""PersonKeyService: decode, call, encode."""

from __future__ import annotations

from mesh.runtime import Call, names
from palestra.identity.v1 import person_key_service_pb2 as pb
from services.identity.personkeys.flow import PersonKeyFlow


class PersonKeyRpc:
    """Serves palestra.identity.v1.PersonKeyService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["PersonKeyService"]

    def __init__(self, flow: PersonKeyFlow) -> None:
        self._flow = flow

    async def GetPersonKey(
        self, request: pb.GetPersonKeyRequest, call: Call
    ) -> pb.GetPersonKeyResponse:
        (user_id,) = names.parse(request.name, "users")
        found = await self._flow.key(user_id)
        return pb.GetPersonKeyResponse(key_id=str(found.key_id), key=found.secret)
