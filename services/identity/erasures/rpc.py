"""ErasureService: decode, call, encode."""

from __future__ import annotations

import uuid

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, names
from mesh.runtime.errors import invalid_field
from palestra.identity.v1 import erasure_service_pb2 as pb
from services.identity.erasures.flow import ErasureFlow
from services.identity.erasures.rules import Erasure

_SINGLETON = "/erasure"


class ErasureRpc:
    """Serves palestra.identity.v1.ErasureService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ErasureService"]

    def __init__(self, flow: ErasureFlow) -> None:
        self._flow = flow

    async def RequestErasure(
        self, request: pb.RequestErasureRequest, call: Call
    ) -> pb.RequestErasureResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        erasure, secret = await self._flow.request(user_id)
        return pb.RequestErasureResponse(erasure=_erasure(erasure, secret))

    async def GetErasure(self, request: pb.GetErasureRequest, call: Call) -> pb.GetErasureResponse:
        found = await self._flow.erasure(_user(request.name))
        return pb.GetErasureResponse(erasure=_erasure(found))

    async def CancelErasure(
        self, request: pb.CancelErasureRequest, call: Call
    ) -> pb.CancelErasureResponse:
        found = await self._flow.cancel(_user(request.name))
        return pb.CancelErasureResponse(erasure=_erasure(found))

    async def GetErasureCertificate(
        self, request: pb.GetErasureCertificateRequest, call: Call
    ) -> pb.GetErasureCertificateResponse:
        erasure_id = _id(request.certificate_id)
        found, key = await self._flow.certificate(erasure_id, request.certificate_secret)
        return pb.GetErasureCertificateResponse(
            state=found.state.value,  # type: ignore[arg-type]
            certificate=found.certificate,
            public_key_jwk=key,
        )


def _user(name: str) -> uuid.UUID:
    (user_id,) = names.parse(name.removesuffix(_SINGLETON), "users")
    return user_id


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise invalid_field("certificate_id", "it is no certificate's") from None


def _erasure(erasure: Erasure, secret: str = "") -> pb.Erasure:
    encoded = pb.Erasure(
        name=f"users/{erasure.user_id}{_SINGLETON}",
        state=erasure.state.value,  # type: ignore[arg-type]
        certificate_id=str(erasure.erasure_id),
        certificate_secret=secret,
        etag=erasure.etag,
    )
    for field, at in (("create_time", erasure.requested_at), ("erase_time", erasure.due_at)):
        told: Timestamp = getattr(encoded, field)
        told.FromDatetime(at)
    return encoded
