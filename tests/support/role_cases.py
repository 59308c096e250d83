"""How each method of roles and blocks is repeated: by staff, about the athlete."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime.clock import now
from palestra.identity.v1 import role_service_pb2 as pb
from tests.support import administrators

ROLES = "/palestra.identity.v1.RoleService/"
Call = Callable[[], Awaitable[str]]
Prepare = Callable[[Any], Awaitable[Call]]


async def asked(stage: Any, name: str, request: Message, answer: type[Any]) -> Any:
    """One call by staff."""
    token = await asyncio.to_thread(administrators.token, stage.athlete.stack)
    ask = stage.edge.unary_unary(f"{ROLES}{name}", None, answer.FromString)
    by = (("authorization", f"Bearer {token}"),)
    return await ask(request.SerializeToString(), metadata=by, timeout=20)


def granting(reason: str) -> Prepare:
    """A grant that says why."""

    async def prepare(stage: Any) -> Call:
        request = _wanted(stage, reason)

        async def call() -> str:
            return f"OK {await asked(stage, 'GrantRole', request, pb.GrantRoleResponse)}"

        return call

    return prepare


async def _revoking(stage: Any) -> Call:
    wanted = _wanted(stage, "on call this week")
    made = await asked(stage, "GrantRole", wanted, pb.GrantRoleResponse)
    request = pb.RevokeRoleRequest(name=made.role_grant.name, reason="no longer")

    async def call() -> str:
        return f"OK {await asked(stage, 'RevokeRole', request, pb.RevokeRoleResponse)}"

    return call


async def _blocking(stage: Any) -> Call:
    request = pb.BlockUserRequest(name=stage.athlete.user, reason="He shouts.")

    async def call() -> str:
        return f"OK {await asked(stage, 'BlockUser', request, pb.BlockUserResponse)}"

    return call


async def _unblocking(stage: Any) -> Call:
    await (await _blocking(stage))()
    request = pb.UnblockUserRequest(name=stage.athlete.user, reason="He is quiet.")

    async def call() -> str:
        return f"OK {await asked(stage, 'UnblockUser', request, pb.UnblockUserResponse)}"

    return call


# The expiry is a part of the request: a repeat, and the other body, have the same one.
_ENDS = Timestamp()
_ENDS.FromDatetime(now() + timedelta(days=30))


def _wanted(stage: Any, reason: str) -> pb.GrantRoleRequest:
    return pb.GrantRoleRequest(
        parent=stage.athlete.user,
        role="analyst",
        expire_time=_ENDS,
        reason=reason,
        request_id=f"the-same for {stage.athlete.user[-12:]}",
    )


PREPARED: dict[str, Prepare] = {
    f"{ROLES}RevokeRole": _revoking,
    f"{ROLES}BlockUser": _blocking,
    f"{ROLES}UnblockUser": _unblocking,
}
GRANT = f"{ROLES}GrantRole"
