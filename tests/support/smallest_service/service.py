"""A service of one method: what a newcomer writes, and nothing else."""

from __future__ import annotations

from mesh.runtime import Call, Host, Parts, Service
from palestra.identity.v1 import key_service_pb2 as pb


class KeyRpc:
    """Serves palestra.identity.v1.KeyService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["KeyService"]

    async def GetKeySet(self, request: pb.GetKeySetRequest, call: Call) -> pb.GetKeySetResponse:
        """One key."""
        return pb.GetKeySetResponse(keys=[pb.VerificationKey(key_id=call.caller)])


def compose(_: Host) -> Parts:
    """Joins what there is."""
    return Parts(servicers=[KeyRpc()])


SERVICE = Service("identity", compose)
