"""ProfileService: decode, call, encode."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, masks, names
from palestra.identity.v1 import profile_pb2
from palestra.identity.v1 import profile_service_pb2 as pb
from services.identity.profiles.flow import ProfileFlow
from services.identity.profiles.rules import CHANGEABLE, Profile

_NEVER = datetime.fromtimestamp(0, UTC)


class ProfileRpc:
    """Serves palestra.identity.v1.ProfileService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ProfileService"]

    def __init__(self, flow: ProfileFlow) -> None:
        self._flow = flow

    async def GetProfile(self, request: pb.GetProfileRequest, call: Call) -> pb.GetProfileResponse:
        (user_id,) = names.parse(request.name, "users")
        return pb.GetProfileResponse(profile=_encode(await self._flow.profile(user_id)))

    async def UpdateProfile(
        self, request: pb.UpdateProfileRequest, call: Call
    ) -> pb.UpdateProfileResponse:
        (user_id,) = names.parse(request.profile.name, "users", field="profile.name")
        fields = masks.to_change(request.update_mask, request.profile, CHANGEABLE)
        wanted = _decode(user_id, request.profile)
        done = await self._flow.update(user_id, wanted, fields, request.profile.etag)
        return pb.UpdateProfileResponse(profile=_encode(done))


def _decode(user_id: uuid.UUID, profile: profile_pb2.Profile) -> Profile:
    return Profile(user_id, profile.display_name, profile.bio, 0, _NEVER, _NEVER)


def _encode(profile: Profile) -> profile_pb2.Profile:
    return profile_pb2.Profile(
        name=f"users/{profile.user_id}",
        display_name=profile.display_name,
        bio=profile.bio,
        create_time=_timestamp(profile.created_at),
        update_time=_timestamp(profile.updated_at),
        etag=profile.etag,
    )


def _timestamp(at: datetime) -> Timestamp:
    encoded = Timestamp()
    encoded.FromDatetime(at)
    return encoded
