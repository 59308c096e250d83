"""Scenarios of services that ask identity who sees whose things.

The call goes to identity's own door with a certificate of training's: of the caller's side
of the mesh the figure has nothing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from mesh.runtime.ids import user_id
from palestra.identity.v1 import visibility_service_pb2 as pb
from palestra.identity.v1.audience_pb2 import AUDIENCE_FOLLOWERS
from palestra.identity.v1.visibility_service_pb2_grpc import VisibilityServiceStub
from tests.load.closed_loop import closed_loop
from tests.load.requests import CALLERS, TIMEOUT_S, Load
from tests.load.world import World
from tests.support import workloads
from tests.support.whole_stack import WholeStack

FOLLOWED = 100
_ACCOUNTS = """
    INSERT INTO identity.accounts (user_id, created_at) SELECT u, now() FROM unnest(%s::uuid[]) u
"""
_PAIRS = """
    INSERT INTO identity.relation_pairs
        (user_id, other_id, followed_at, pair_version, changed_at, empty)
    SELECT %s, u, now(), 1, now(), false FROM unnest(%s::uuid[]) u
"""


def followed_by(stack: WholeStack, viewer: uuid.UUID) -> list[uuid.UUID]:
    """People whom he follows, made past the methods: nobody calls for them."""
    people = [user_id(0) for _ in range(FOLLOWED)]
    with stack.database() as database:
        database.execute(_ACCOUNTS, (people,))
        database.execute(_PAIRS, (viewer, people))
    return people


def _asking(ask: Callable[[VisibilityServiceStub, str, list[str]], Any]) -> Any:
    @asynccontextmanager
    async def ready(world: World) -> AsyncIterator[Load]:
        viewer = world.reader.user
        people = await asyncio.to_thread(
            followed_by, world.stack, uuid.UUID(viewer.removeprefix("users/"))
        )
        channel = workloads.as_workload(world.stack, "training", "identity")
        stub, owners = VisibilityServiceStub(channel), [f"users/{each}" for each in people]

        async def call() -> bool:
            try:
                return bool(await ask(stub, viewer, owners))
            except grpc.RpcError:
                return False

        try:
            yield lambda bounds: closed_loop([call] * CALLERS, bounds)
        finally:
            await channel.close(None)

    return ready


async def _one(stub: Any, viewer: str, owners: list[str]) -> bool:
    request = pb.CheckVisibilityRequest(viewer=viewer, owner=owners[0], audience=AUDIENCE_FOLLOWERS)
    found: pb.CheckVisibilityResponse = await stub.CheckVisibility(request, timeout=TIMEOUT_S)
    return bool(found.visible)


async def _many(stub: Any, viewer: str, owners: list[str]) -> bool:
    request = pb.FilterVisibleRequest(viewer=viewer, owners=owners, audience=AUDIENCE_FOLLOWERS)
    found: pb.FilterVisibleResponse = await stub.FilterVisible(request, timeout=TIMEOUT_S)
    return list(found.owners) == owners


check = _asking(_one)
filter_100 = _asking(_many)
