"""RelationService: decode, call, encode."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TypedDict, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, masks, names, pages
from mesh.runtime.errors import MeshError, invalid_field
from palestra.identity.v1 import relation_service_pb2 as pb
from services.identity.relations import rules
from services.identity.relations.flow import Done, Kind, RelationFlow
from services.identity.relations.rules import Pair, Person, Side

USUAL_PAGE = 50
_STATES = (
    pb.FOLLOW_STATE_NONE,
    pb.FOLLOW_STATE_REQUESTED,
    pb.FOLLOW_STATE_FOLLOWING,
)
Listing = TypeVar(
    "Listing",
    pb.ListFollowingResponse,
    pb.ListFollowersResponse,
    pb.ListFollowRequestsResponse,
    pb.ListBlocksResponse,
    pb.ListMutesResponse,
    pb.ListCloseFriendsResponse,
)
Named = pb.FollowRequest | pb.BlockRequest | pb.MuteRequest | pb.AddCloseFriendRequest
Asked = (
    pb.ListFollowingRequest
    | pb.ListFollowersRequest
    | pb.ListFollowRequestsRequest
    | pb.ListBlocksRequest
    | pb.ListMutesRequest
    | pb.ListCloseFriendsRequest
)


class RelationRpc:
    """Serves palestra.identity.v1.RelationService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["RelationService"]

    def __init__(self, flow: RelationFlow) -> None:
        self._flow = flow

    async def Follow(self, request: pb.FollowRequest, call: Call) -> pb.FollowResponse:
        me, other = _both(request)
        done = await self._flow.change(me, other, rules.follow)
        return pb.FollowResponse(**_done(me, other, done))

    async def Block(self, request: pb.BlockRequest, call: Call) -> pb.BlockResponse:
        me, other = _both(request)
        done = await self._flow.change(me, other, rules.block)
        return pb.BlockResponse(**_done(me, other, done))

    async def AddCloseFriend(
        self, request: pb.AddCloseFriendRequest, call: Call
    ) -> pb.AddCloseFriendResponse:
        me, other = _both(request)
        done = await self._flow.change(me, other, rules.add_close_friend)
        return pb.AddCloseFriendResponse(**_done(me, other, done))

    async def Mute(self, request: pb.MuteRequest, call: Call) -> pb.MuteResponse:
        me, other = _both(request)
        until = request.until_time if request.HasField("until_time") else None
        done = await self._flow.mute(me, other, until.ToDatetime(UTC) if until else None)
        return pb.MuteResponse(**_done(me, other, done))

    async def ApproveFollow(
        self, request: pb.ApproveFollowRequest, call: Call
    ) -> pb.ApproveFollowResponse:
        me, other = names.parse(request.name, "users", "followRequests")
        done = await self._flow.change(me, other, rules.approve)
        return pb.ApproveFollowResponse(**_done(me, other, done))

    async def Unfollow(self, request: pb.UnfollowRequest, call: Call) -> pb.UnfollowResponse:
        me, other = names.parse(request.name, "users", "following")
        done = await self._flow.end(me, other, rules.unfollow)
        return pb.UnfollowResponse(**_done(me, other, done))

    async def RemoveFollower(
        self, request: pb.RemoveFollowerRequest, call: Call
    ) -> pb.RemoveFollowerResponse:
        me, other = names.parse(request.name, "users", "followers")
        done = await self._flow.end(me, other, rules.remove_follower)
        return pb.RemoveFollowerResponse(**_done(me, other, done))

    async def DeclineFollow(
        self, request: pb.DeclineFollowRequest, call: Call
    ) -> pb.DeclineFollowResponse:
        me, other = names.parse(request.name, "users", "followRequests")
        done = await self._flow.end(me, other, rules.decline)
        return pb.DeclineFollowResponse(**_done(me, other, done))

    async def Unblock(self, request: pb.UnblockRequest, call: Call) -> pb.UnblockResponse:
        me, other = names.parse(request.name, "users", "blocks")
        done = await self._flow.end(me, other, rules.unblock)
        return pb.UnblockResponse(**_done(me, other, done))

    async def Unmute(self, request: pb.UnmuteRequest, call: Call) -> pb.UnmuteResponse:
        me, other = names.parse(request.name, "users", "mutes")
        done = await self._flow.end(me, other, rules.unmute)
        return pb.UnmuteResponse(**_done(me, other, done))

    async def RemoveCloseFriend(
        self, request: pb.RemoveCloseFriendRequest, call: Call
    ) -> pb.RemoveCloseFriendResponse:
        me, other = names.parse(request.name, "users", "closeFriends")
        done = await self._flow.end(me, other, rules.remove_close_friend)
        return pb.RemoveCloseFriendResponse(**_done(me, other, done))

    async def ListFollowing(
        self, request: pb.ListFollowingRequest, call: Call
    ) -> pb.ListFollowingResponse:
        return await self._listed(request, Kind.FOLLOWING, pb.ListFollowingResponse())

    async def ListFollowers(
        self, request: pb.ListFollowersRequest, call: Call
    ) -> pb.ListFollowersResponse:
        return await self._listed(request, Kind.FOLLOWERS, pb.ListFollowersResponse())

    async def ListFollowRequests(
        self, request: pb.ListFollowRequestsRequest, call: Call
    ) -> pb.ListFollowRequestsResponse:
        return await self._listed(request, Kind.REQUESTS, pb.ListFollowRequestsResponse())

    async def ListBlocks(self, request: pb.ListBlocksRequest, call: Call) -> pb.ListBlocksResponse:
        return await self._listed(request, Kind.BLOCKS, pb.ListBlocksResponse())

    async def ListMutes(self, request: pb.ListMutesRequest, call: Call) -> pb.ListMutesResponse:
        return await self._listed(request, Kind.MUTES, pb.ListMutesResponse())

    async def ListCloseFriends(
        self, request: pb.ListCloseFriendsRequest, call: Call
    ) -> pb.ListCloseFriendsResponse:
        return await self._listed(request, Kind.CLOSE_FRIENDS, pb.ListCloseFriendsResponse())

    async def GetRelation(
        self, request: pb.GetRelationRequest, call: Call
    ) -> pb.GetRelationResponse:
        me, other = names.parse(request.name, "users", "relations")
        pair = await self._flow.relation(me, other)
        return pb.GetRelationResponse(relation=_encode(me, other, pair))

    async def GetFollowSettings(
        self, request: pb.GetFollowSettingsRequest, call: Call
    ) -> pb.GetFollowSettingsResponse:
        user = _owner_of_settings(request.name)
        settings = _settings(await self._flow.person(user))
        return pb.GetFollowSettingsResponse(follow_settings=settings)

    async def UpdateFollowSettings(
        self, request: pb.UpdateFollowSettingsRequest, call: Call
    ) -> pb.UpdateFollowSettingsResponse:
        wanted = request.follow_settings
        user = _owner_of_settings(wanted.name)
        if "approval" not in masks.to_change(request.update_mask, wanted, {"approval"}):
            person = await self._flow.person(user)
            return pb.UpdateFollowSettingsResponse(follow_settings=_settings(person))
        if not wanted.approval:
            raise invalid_field("follow_settings.approval", "is to be said")
        approval = wanted.approval == pb.FOLLOW_APPROVAL_REQUIRED
        changed = _settings(await self._flow.set_approval(user, approval=approval))
        return pb.UpdateFollowSettingsResponse(follow_settings=changed)

    async def _listed(self, request: Asked, kind: Kind, answer: Listing) -> Listing:
        (me,) = names.parse(request.parent, "users", field="parent")
        page_key = f"{kind.name} of {me}"
        before = _place(pages.cursor(page_key, request.page_token))
        found, more = await self._flow.listed(me, kind, before, request.page_size or USUAL_PAGE)
        answer.relations.extend(_encode(me, row.other, row.pair) for row in found)
        answer.total_size = kind.count((await self._flow.person(me)).counts)
        if more:
            last = found[-1]
            place = [kind.since(last.pair).isoformat(), str(last.other)]
            answer.next_page_token = pages.token(page_key, place)
        return answer


def _both(request: Named) -> tuple[uuid.UUID, uuid.UUID]:
    (me,) = names.parse(request.parent, "users", field="parent")
    (other,) = names.parse(request.user, "users", field="user")
    return me, other


def _place(cursor: list[object] | None) -> tuple[datetime, uuid.UUID] | None:
    if cursor is None:
        return None
    try:
        at, other = cursor
        return datetime.fromisoformat(str(at)), uuid.UUID(str(other))
    except ValueError:
        raise MeshError("PAGE_TOKEN_INVALID") from None


def _owner_of_settings(name: str) -> uuid.UUID:
    (user,) = names.parse(name.removesuffix("/followSettings"), "users")
    return user


class _Done(TypedDict):
    relation: pb.Relation
    consistency_token: str


def _done(me: uuid.UUID, other: uuid.UUID, done: Done) -> _Done:
    return {
        "relation": _encode(me, other, done.pair),
        "consistency_token": done.reached.token,
    }


def _encode(me: uuid.UUID, other: uuid.UUID, pair: Pair) -> pb.Relation:
    mine, theirs = pair.mine, pair.theirs
    return pb.Relation(
        name=f"users/{me}/relations/{other}",
        user=f"users/{other}",
        following=_state(mine),
        following_time=_timestamp(mine.followed_at or mine.requested_at),
        follower=_state(theirs),
        follower_time=_timestamp(theirs.followed_at or theirs.requested_at),
        block_time=_timestamp(mine.blocked_at),
        mute_time=_timestamp(mine.muted_at),
        mute_until_time=_timestamp(mine.mute_until),
        close_friend_time=_timestamp(mine.close_at),
    )


def _state(side: Side) -> pb.FollowState.ValueType:
    return _STATES[2 if side.followed_at else 1 if side.requested_at else 0]


def _settings(person: Person) -> pb.FollowSettings:
    return pb.FollowSettings(
        name=f"users/{person.user_id}/followSettings",
        approval=pb.FOLLOW_APPROVAL_REQUIRED if person.approval else pb.FOLLOW_APPROVAL_OPEN,
        following_count=person.counts.following,
        follower_count=person.counts.followers,
        follow_request_count=person.counts.requests,
    )


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    encoded = Timestamp()
    encoded.FromDatetime(at)
    return encoded
