"""RoleService: decode, call, encode."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, names, pages
from mesh.runtime.contract import grantable_scopes
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import keyed_id, uuid7
from palestra.identity.v1 import role_pb2
from palestra.identity.v1 import role_service_pb2 as pb
from services.identity.blocks.flow import BlockFlow, Standing
from services.identity.blocks.rules import Block
from services.identity.roles import encoding
from services.identity.roles.flow import BEGINNING, RoleFlow
from services.identity.roles.rules import Wanted

USUAL_PAGE = 50
_EVERYBODY = "users/-"


class RoleRpc:
    """Serves palestra.identity.v1.RoleService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["RoleService"]

    def __init__(self, roles: RoleFlow, blocks: BlockFlow) -> None:
        self._roles = roles
        self._blocks = blocks

    async def ListRoles(self, request: pb.ListRolesRequest, call: Call) -> pb.ListRolesResponse:
        return pb.ListRolesResponse(roles=map(encoding.role, self._roles.roles))

    async def ListScopes(self, request: pb.ListScopesRequest, call: Call) -> pb.ListScopesResponse:
        found = (
            role_pb2.ScopeDescription(scope=each.name, en=each.en, ru=each.ru)
            for each in grantable_scopes()
        )
        return pb.ListScopesResponse(scopes=found)

    async def ListMyRoles(
        self, request: pb.ListMyRolesRequest, call: Call
    ) -> pb.ListMyRolesResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        found, has_factor = await self._roles.mine(user_id)
        words = {each.name: each for each in self._roles.roles}
        return pb.ListMyRolesResponse(
            roles=[encoding.mine(each, words[each.role]) for each in found if each.role in words],
            active=bool(call.signed_in.roles),
            has_second_factor=has_factor,
        )

    async def GrantRole(self, request: pb.GrantRoleRequest, call: Call) -> pb.GrantRoleResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        by = call.signed_in.id
        request_id = request.request_id or call.request_id or str(uuid7())
        grant_id = keyed_id(by, call.method, request_id)
        wanted = Wanted(request.role, request.reason.strip(), _moment(request.expire_time))
        done = await self._roles.grant(by, user_id, grant_id, wanted)
        return pb.GrantRoleResponse(role_grant=encoding.grant(done))

    async def RevokeRole(self, request: pb.RevokeRoleRequest, call: Call) -> pb.RevokeRoleResponse:
        user_id, grant_id = names.parse(request.name, "users", "roleGrants")
        why = request.reason.strip()
        done = await self._roles.revoke(call.signed_in.id, user_id, grant_id, why)
        return pb.RevokeRoleResponse(role_grant=encoding.grant(done))

    async def ListRoleGrants(
        self, request: pb.ListRoleGrantsRequest, call: Call
    ) -> pb.ListRoleGrantsResponse:
        user_id = None
        if request.parent != _EVERYBODY:
            (user_id,) = names.parse(request.parent, "users", field="parent")
        page_key = f"role grants of {user_id} {request.role} {request.show_ended}"
        before = _place(pages.cursor(page_key, request.page_token))
        size = request.page_size or USUAL_PAGE
        found, more = await self._roles.grants(
            user_id, request.role, before, size, ended=request.show_ended
        )
        answer = pb.ListRoleGrantsResponse(role_grants=map(encoding.grant, found))
        if more:
            last = [found[-1].granted_at.isoformat(), str(found[-1].grant_id)]
            answer.next_page_token = pages.token(page_key, last)
        return answer

    async def BlockUser(self, request: pb.BlockUserRequest, call: Call) -> pb.BlockUserResponse:
        (user_id,) = names.parse(request.name, "users")
        ends = _moment(request.expire_time) if request.HasField("expire_time") else None
        done = await self._blocks.block(call.signed_in.id, user_id, request.reason.strip(), ends)
        return pb.BlockUserResponse(standing=_standing(done))

    async def UnblockUser(
        self, request: pb.UnblockUserRequest, call: Call
    ) -> pb.UnblockUserResponse:
        (user_id,) = names.parse(request.name, "users")
        done = await self._blocks.unblock(call.signed_in.id, user_id, request.reason.strip())
        return pb.UnblockUserResponse(standing=_standing(done))

    async def GetStanding(
        self, request: pb.GetStandingRequest, call: Call
    ) -> pb.GetStandingResponse:
        (user_id,) = names.parse(request.name.removesuffix("/standing"), "users")
        found = await self._blocks.standing(user_id)
        return pb.GetStandingResponse(standing=_standing(found))


def _standing(found: Standing) -> role_pb2.Standing:
    return role_pb2.Standing(
        name=f"users/{found.user_id}/standing",
        blocked=found.is_blocked,
        blocks=map(_block, found.blocks),
    )


def _block(block: Block) -> role_pb2.Block:
    return role_pb2.Block(
        create_time=encoding.time_of(block.blocked_at),
        expire_time=encoding.time_of(block.expires_at) if block.expires_at else None,
        reason=block.reason,
        blocker=encoding.who(block.blocked_by),
        lift_time=encoding.time_of(block.lifted_at) if block.lifted_at else None,
        lifter=encoding.who(block.lifted_by),
        lift_reason=block.lifted_why,
    )


def _moment(told: Timestamp) -> datetime:
    return told.ToDatetime(UTC)


def _place(found: list[object] | None) -> tuple[datetime, uuid.UUID]:
    if found is None:
        return BEGINNING
    # Anybody can make a token, so that its content is as little to be trusted as its shape.
    try:
        granted_at, grant_id = found
        place = datetime.fromisoformat(str(granted_at)), uuid.UUID(str(grant_id))
    except ValueError:
        raise MeshError("PAGE_TOKEN_INVALID") from None
    if place[0].tzinfo is None:
        raise MeshError("PAGE_TOKEN_INVALID")
    return place
