"""RevocationService: decode, call, encode."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from mesh.runtime import Call
from mesh.runtime.revocations import Revocation
from palestra.identity.v1 import revocation_service_pb2 as pb
from services.identity.revocations.flow import Board


class RevocationRpc:
    """Serves palestra.identity.v1.RevocationService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["RevocationService"]

    def __init__(self, board: Board) -> None:
        self._board = board

    async def WatchRevocations(
        self, request: pb.WatchRevocationsRequest, call: Call
    ) -> AsyncGenerator[pb.WatchRevocationsResponse, None]:
        async for news in self._board.watch():
            answer = pb.WatchRevocationsResponse(
                revocations=map(_encoded, news.revocations), complete=news.complete
            )
            answer.believed_from.FromMicroseconds(int(news.revoked_before_s * 1e6))
            yield answer


def _encoded(revocation: Revocation) -> pb.Revocation:
    told = pb.Revocation()
    if revocation.user is not None:
        told.generation.user = f"users/{revocation.user}"
        told.generation.first = revocation.first_generation
    elif revocation.key_id:
        told.key_id = revocation.key_id
    else:
        told.session = revocation.session
    told.create_time.FromMicroseconds(int(revocation.created_s * 1e6))
    told.expire_time.FromMicroseconds(int(revocation.expires_s * 1e6))
    return told
