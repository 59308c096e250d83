"""ProfileService: decode, call, encode."""

from __future__ import annotations

import uuid

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, masks, names
from mesh.runtime.errors import invalid_field
from palestra.identity.v1 import profile_service_pb2 as pb
from services.identity.profiles import encoding
from services.identity.profiles.avatars import MAX_BYTES, AvatarFlow
from services.identity.profiles.flow import ProfileFlow
from services.identity.profiles.pictures import MEDIA_TYPES
from services.identity.profiles.rules import CHANGEABLE


class ProfileRpc:
    """Serves palestra.identity.v1.ProfileService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ProfileService"]

    def __init__(self, flow: ProfileFlow, avatars: AvatarFlow) -> None:
        self._flow = flow
        self._avatars = avatars

    async def GetProfile(self, request: pb.GetProfileRequest, call: Call) -> pb.GetProfileResponse:
        (user_id,) = names.parse(request.name, "users")
        profile, what = await self._flow.seen(call.signed_in.id, user_id)
        return pb.GetProfileResponse(profile=encoding.profile(profile, self._avatars, what))

    async def UpdateProfile(
        self, request: pb.UpdateProfileRequest, call: Call
    ) -> pb.UpdateProfileResponse:
        (user_id,) = names.parse(request.profile.name, "users", field="profile.name")
        fields = masks.to_change(request.update_mask, request.profile, CHANGEABLE)
        wanted = encoding.wanted(user_id, request.profile)
        done = await self._flow.update(user_id, wanted, fields, request.profile.etag)
        return pb.UpdateProfileResponse(profile=encoding.profile(done, self._avatars))

    async def BatchGetCards(
        self, request: pb.BatchGetCardsRequest, call: Call
    ) -> pb.BatchGetCardsResponse:
        people = [names.parse(name, "users", field="names")[0] for name in request.names]
        cards = await self._flow.cards(call.signed_in.id, people)
        return pb.BatchGetCardsResponse(cards=[encoding.card(each) for each in cards])

    async def GetAthleteFacts(
        self, request: pb.GetAthleteFactsRequest, call: Call
    ) -> pb.GetAthleteFactsResponse:
        (user_id,) = names.parse(request.name, "users")
        profile = await self._flow.profile(user_id)
        return pb.GetAthleteFactsResponse(facts=encoding.facts(profile))

    async def CreateAvatarUpload(
        self, request: pb.CreateAvatarUploadRequest, call: Call
    ) -> pb.CreateAvatarUploadResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        upload, grant = self._avatars.grant(user_id, request.size_bytes)
        return pb.CreateAvatarUploadResponse(
            upload_id=upload,
            upload_uri=grant.uri,
            max_bytes=MAX_BYTES,
            content_types=MEDIA_TYPES,
            expire_time=Timestamp(seconds=grant.expires_at_s),
        )

    async def SetAvatar(self, request: pb.SetAvatarRequest, call: Call) -> pb.SetAvatarResponse:
        (user_id,) = names.parse(request.name, "users")
        upload = _upload(request.upload_id)
        done = await self._avatars.set(user_id, upload, request.etag)
        return pb.SetAvatarResponse(profile=encoding.profile(done, self._avatars))

    async def DeleteAvatar(
        self, request: pb.DeleteAvatarRequest, call: Call
    ) -> pb.DeleteAvatarResponse:
        (user_id,) = names.parse(request.name, "users")
        done = await self._avatars.delete(user_id, request.etag)
        return pb.DeleteAvatarResponse(profile=encoding.profile(done, self._avatars))


def _upload(upload_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(upload_id)
    except ValueError:
        raise invalid_field("upload_id", "it is no upload's") from None
