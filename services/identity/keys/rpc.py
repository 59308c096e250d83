"""KeyService: decode, call, encode."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call
from palestra.identity.v1 import key_service_pb2 as pb
from services.identity.keys.flow import KeyRing


class KeyRpc:
    """Serves palestra.identity.v1.KeyService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["KeyService"]

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def GetKeySet(self, request: pb.GetKeySetRequest, call: Call) -> pb.GetKeySetResponse:
        answer = pb.GetKeySetResponse()
        for key in await self._keys.published():
            published = Timestamp()
            published.FromDatetime(key.published_at)
            answer.keys.add(key_id=key.key_id, public_key=key.public_key, publish_time=published)
        return answer
