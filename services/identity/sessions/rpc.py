"""SessionService: decode, call, encode."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, pages
from mesh.runtime.errors import MeshError
from palestra.identity.v1 import session_service_pb2 as pb
from services.identity.sessions.flow import SessionFlow
from services.identity.sessions.places import Places
from services.identity.sessions.rules import Session

PAGE: Final = 50
ENDED_BY_OWNER: Final = "ended by its owner"


class SessionRpc:
    """Serves palestra.identity.v1.SessionService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["SessionService"]

    def __init__(self, flow: SessionFlow, places: Places) -> None:
        self._flow = flow
        self._places = places

    async def ListSessions(
        self, request: pb.ListSessionsRequest, call: Call
    ) -> pb.ListSessionsResponse:
        before = _before(pages.cursor(request.parent, request.page_token))
        size = request.page_size or PAGE
        found = await self._flow.living(call.signed_in.id, before, size + 1)
        answer = pb.ListSessionsResponse(
            sessions=[self._encoded(each, call.signed_in.session) for each in found[:size]]
        )
        if len(found) > size:
            last = str(found[size - 1].session_id)
            answer.next_page_token = pages.token(request.parent, [last])
        return answer

    async def DeleteSession(
        self, request: pb.DeleteSessionRequest, call: Call
    ) -> pb.DeleteSessionResponse:
        # What is no session's id is none that lives.
        with suppress(ValueError):
            session_id = uuid.UUID(request.name.rpartition("/")[2])
            await self._flow.end(call.signed_in.id, session_id, ENDED_BY_OWNER)
        return pb.DeleteSessionResponse()

    async def EndSessions(
        self, request: pb.EndSessionsRequest, call: Call
    ) -> pb.EndSessionsResponse:
        user = call.signed_in
        kept = None if request.include_current else uuid.UUID(user.session)
        await self._flow.end_all(user.id, ENDED_BY_OWNER, kept)
        return pb.EndSessionsResponse()

    def _encoded(self, session: Session, current: str) -> pb.Session:
        place = self._places.of(session.device.network)
        return pb.Session(
            name=f"users/{session.user_id}/sessions/{session.session_id}",
            device=session.device.name,
            network=session.device.network,
            client=session.client_id,
            amr=session.amr,
            create_time=_at(session.created_at),
            last_use_time=_at(session.rotated_at),
            expire_time=_at(session.expires_at),
            current=str(session.session_id) == current,
            place=pb.Place(country_code=place.country_code, city=place.city) if place else None,
        )


def _at(moment: datetime) -> Timestamp:
    told = Timestamp()
    told.FromDatetime(moment)
    return told


def _before(cursor: list[object] | None) -> uuid.UUID | None:
    if cursor is None:
        return None
    try:
        (session_id,) = cursor
        return uuid.UUID(str(session_id))
    except ValueError:
        raise MeshError("PAGE_TOKEN_INVALID") from None
