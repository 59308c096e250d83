"""VisibilityService: decode, call, encode."""

from __future__ import annotations

import uuid

from mesh.runtime import Call, names, pages
from mesh.runtime.errors import MeshError
from palestra.identity.v1 import audience_pb2
from palestra.identity.v1 import visibility_service_pb2 as pb
from services.identity.relations.encoding import relations_changed
from services.identity.relations.flow import RelationFlow
from services.identity.visibility.rules import Audience


class VisibilityRpc:
    """Serves palestra.identity.v1.VisibilityService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["VisibilityService"]

    def __init__(self, flow: RelationFlow) -> None:
        self._flow = flow

    async def CheckVisibility(
        self, request: pb.CheckVisibilityRequest, call: Call
    ) -> pb.CheckVisibilityResponse:
        viewer = _viewer(request.viewer)
        (owner,) = names.parse(request.owner, "users", field="owner")
        visible = await self._flow.visible(
            viewer, owner, _audience(request.audience), call.consistency
        )
        return pb.CheckVisibilityResponse(visible=visible)

    async def FilterVisible(
        self, request: pb.FilterVisibleRequest, call: Call
    ) -> pb.FilterVisibleResponse:
        viewer = _viewer(request.viewer)
        owners = [names.parse(each, "users", field="owners")[0] for each in request.owners]
        seen = await self._flow.filter(
            viewer,
            owners,
            _audience(request.audience),
            call.consistency,
            unmuted=request.unmuted,
        )
        kept = set(seen)
        # As they were asked for: making a hundred names anew costs more than the rest of this.
        return pb.FilterVisibleResponse(
            owners=[
                name for name, owner in zip(request.owners, owners, strict=True) if owner in kept
            ]
        )

    async def ListRelationChanges(
        self, request: pb.ListRelationChangesRequest, call: Call
    ) -> pb.ListRelationChangesResponse:
        user = _viewer(request.user)
        page_key = f"relations of {user}"
        try:
            page = await self._flow.copied(pages.cursor(page_key, request.page_token), user)
        except (ValueError, IndexError):
            raise MeshError("PAGE_TOKEN_INVALID") from None
        return pb.ListRelationChangesResponse(
            people=[
                pb.RelationVersion(user=f"users/{person}", version=version)
                for person, version in page.people
            ],
            pairs=[relations_changed(*each) for each in page.pairs],
            next_page_token=pages.token(page_key, page.last) if page.last else "",
            beats=[
                pb.RelationBeatCount(key=key, version=version)
                for key, version in page.beats.items()
            ],
        )


def _audience(asked: audience_pb2.Audience.ValueType) -> Audience:
    return Audience(asked) if asked else Audience.NOBODY


def _viewer(name: str) -> uuid.UUID | None:
    return names.parse(name, "users", field="viewer")[0] if name else None
