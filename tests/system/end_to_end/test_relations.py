"""Relations through the real mesh: by REST, asked by services, and copied by one of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import TypeAlias, cast

import grpc
import httpx
import pytest
import pytest_asyncio

from mesh.local.stores.database import url
from mesh.runtime import migrate
from mesh.runtime.bus import Consumer
from mesh.runtime.channel import MeshChannel
from mesh.runtime.consistency import Reached, read
from mesh.runtime.leases import Leases
from mesh.runtime.relations.copying import Copying
from mesh.runtime.relations.replica import Audience, Relations
from mesh.runtime.service import connect_redis
from mesh.runtime.sql import Database
from palestra.identity.v1 import audience_pb2
from palestra.identity.v1 import visibility_service_pb2 as pb
from palestra.identity.v1.audience_pb2 import AUDIENCE_EVERYONE, AUDIENCE_FOLLOWERS
from palestra.identity.v1.visibility_service_pb2_grpc import VisibilityServiceStub
from tests.support import workloads
from tests.support.athletes import Athlete, Club
from tests.support.rest_errors import refusal
from tests.support.told_counters import running, until
from tests.support.whole_stack import WholeStack

NOBODY = "users/01a1fde4-90d9-8dd2-8ba4-78f29fd0f1ba"
SERVICE = "integration"
ToWhom: TypeAlias = "audience_pb2.Audience.ValueType"


class Door:
    """To identity's own door, as another service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def for_stubs(self) -> grpc.aio.Channel:
        return self._channel


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def door(stack: WholeStack) -> AsyncIterator[grpc.aio.Channel]:
    channel = workloads.as_workload(stack, SERVICE, "identity")
    yield channel
    await channel.close(None)


def _id(athlete: Athlete) -> str:
    return athlete.user.removeprefix("users/")


def _done(answer: httpx.Response) -> str:
    assert answer.status_code == httpx.codes.OK, answer.text
    token: str = answer.json()["consistencyToken"]
    return token


def _followed(owner: Athlete, follower: Athlete) -> str:
    """The follower asks, the owner approves; how far the owner's relations came."""
    _done(follower.rest.post("/v1/users/me/following", json={"user": owner.user}))
    path = f"/v1/users/me/followRequests/{_id(follower)}:approve"
    return _done(owner.rest.post(path, json={}))


@pytest.mark.asyncio(loop_scope="module")
async def test_services_that_ask_hear_of_a_block_at_once_and_check_and_filter_agree(
    athletes: Club, door: grpc.aio.Channel
) -> None:
    owner, viewer = [await asyncio.to_thread(athletes.register) for _ in range(2)]
    stub = VisibilityServiceStub(door)

    async def told(sees: Athlete, whose: Athlete, audience: ToWhom) -> bool:
        check = pb.CheckVisibilityRequest(viewer=sees.user, owner=whose.user, audience=audience)
        many = pb.FilterVisibleRequest(
            viewer=sees.user, owners=[NOBODY, whose.user, sees.user], audience=audience
        )
        found = await stub.CheckVisibility(check)
        listed = (await stub.FilterVisible(many)).owners
        assert list(listed) == ([whose.user] if found.visible else []) + [sees.user]
        return bool(found.visible)

    assert not await told(viewer, owner, AUDIENCE_FOLLOWERS)
    await asyncio.to_thread(_followed, owner, viewer)
    assert await told(viewer, owner, AUDIENCE_FOLLOWERS)
    assert not await told(owner, viewer, AUDIENCE_FOLLOWERS)
    block = await asyncio.to_thread(
        owner.rest.post, "/v1/users/me/blocks", json={"user": viewer.user}
    )
    _done(block)
    for sees, whose in ((viewer, owner), (owner, viewer)):
        assert not await told(sees, whose, AUDIENCE_EVERYONE)


def test_to_the_blocked_the_other_is_as_nobody(athletes: Club) -> None:
    owner, viewer = athletes.register(), athletes.register()
    _done(owner.rest.post("/v1/users/me/blocks", json={"user": viewer.user}))
    answers = {}
    for other in (owner.user, NOBODY):
        id_ = other.removeprefix("users/")
        answers[other] = [
            refusal(viewer.rest.post("/v1/users/me/following", json={"user": other})),
            refusal(viewer.rest.post("/v1/users/me/mutes", json={"user": other})),
            refusal(viewer.rest.get(f"/v1/users/me/relations/{id_}")),
            viewer.rest.delete(f"/v1/users/me/following/{id_}").json()["relation"]["following"],
        ]
    assert answers[owner.user] == answers[NOBODY]
    assert answers[NOBODY][0][2] == "USER_NOT_FOUND"


def test_browsers_may_send_the_token(athlete: Athlete) -> None:
    headers = {
        "origin": "https://app.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "x-palestra-consistency",
    }
    answer = athlete.rest.options("/v1/users/me/blocks", headers=headers)
    assert "x-palestra-consistency" in answer.headers["access-control-allow-headers"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_copy_of_another_service_never_shows_what_its_reader_knows_to_be_revoked(
    stack: WholeStack, athletes: Club, door: grpc.aio.Channel
) -> None:
    passwords = stack._passwords("postgres")[SERVICE]
    own = url(stack.places.postgres, SERVICE, passwords)
    await asyncio.to_thread(migrate.migrate, own, None)
    database = Database(own)
    await database.open()
    address = f"unix://{SERVICE}:{stack._passwords('redis')[SERVICE]}@{stack.places.run}/redis.sock"
    redis = connect_redis(address, repeats=0)
    mesh = cast("MeshChannel", Door(door))
    copy = Relations(database, mesh)
    leases = Leases(own)
    # A group of its own: the service's own process goes on hearing what it hears.
    for name, work in Consumer(database, redis, "test-of-relations", copy.handlers).works():
        leases.add(f"test {name}", work)
    owner, viewer = [await asyncio.to_thread(athletes.register) for _ in range(2)]
    whose, sees = (uuid.UUID(_id(each)) for each in (owner, viewer))

    async def shown(token: str) -> bool:
        asked = read(token)
        before = await copy.visible(sees, whose, Audience.FOLLOWERS, asked)
        listed = await copy.filter(sees, [whose, sees], Audience.FOLLOWERS, asked)
        after = await copy.visible(sees, whose, Audience.FOLLOWERS, asked)
        # What is waited for may come between two questions; it never goes again.
        assert before <= (listed == [whose, sees]) <= after
        assert sees in listed
        return after

    try:
        async with running(leases.run):
            await Copying(database, mesh, copy.clock).catch_up()
            await until(lambda: copy.visible(sees, whose, Audience.EVERYONE), 20)
            token = await asyncio.to_thread(_followed, owner, viewer)
            await until(lambda: shown(token), 10)
            for _ in range(5):
                gone = await asyncio.to_thread(
                    owner.rest.delete, f"/v1/users/me/followers/{_id(viewer)}"
                )
                assert not await shown(_done(gone))
                token = await asyncio.to_thread(_followed, owner, viewer)
                await until(lambda token=token: shown(token), 10)  # type: ignore[misc]
            ahead = Reached(whose, 1 << 40).token
            assert not await shown(ahead)
    finally:
        await redis.aclose()
        await database.close()
