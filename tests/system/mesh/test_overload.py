"""One domain has more to do than it can; the others do not notice, and its callers are told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator

import grpc
import httpx
import pytest

from palestra.training.v1 import activity_service_pb2, activity_service_pb2_grpc
from tests.support.grpc_errors import reason_of
from tests.support.mesh_stack import MeshStack
from tests.system.mesh.test_edge_rest import reason
from tests.system.mesh.test_live_changes import bearer, uncut

GET_ACTIVITY = "/palestra.training.v1.ActivityService/GetActivity"
SLOW = "/v1/users/me/activities/slow"
QUICK = "/v1/users/me"
ROOM, OFFERED, LOOKS = 20, 60, 60


@pytest.fixture
def narrow(mesh: MeshStack) -> Iterator[None]:
    """Training may have few calls under way."""
    patient = {GET_ACTIVITY: {"timeout_ms": 20_000}}
    few = {"training": {"requests": ROOM}}
    mesh.settle("edge", lambda: mesh.write_overrides(patient, capacity=few))
    yield
    mesh.settle("edge", lambda: mesh.write_overrides({}))


async def flood_and_look(mesh: MeshStack) -> tuple[list[httpx.Response], list[tuple[int, float]]]:
    """What the flooded domain answers; status and latency (s) of another's answers meanwhile."""
    limits = httpx.Limits(max_connections=2 * OFFERED)
    async with httpx.AsyncClient(base_url=mesh.url, timeout=20, limits=limits) as client:
        headers = bearer(mesh.token())
        flood = [asyncio.create_task(client.get(SLOW, headers=headers)) for _ in range(OFFERED)]
        # What is too much is refused at once: from then on the rest is under way.
        await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        looks: list[tuple[int, float]] = []
        while not all(task.done() for task in flood) and len(looks) < LOOKS:
            before = time.monotonic()
            answer = await client.get(QUICK, headers=headers)
            looks.append((answer.status_code, time.monotonic() - before))
        return await asyncio.gather(*flood), looks


@pytest.mark.usefixtures("narrow")
def test_a_flooded_domain_refuses_with_its_reason_and_another_is_served_as_ever(
    mesh: MeshStack,
) -> None:
    # A stream of the flooded domain is open all the while: streams have a budget of their own.
    with uncut(mesh):
        flooded, looks = asyncio.run(flood_and_look(mesh))
    assert Counter(each.status_code for each in flooded) == {200: ROOM, 503: OFFERED - ROOM}
    refused = [each for each in flooded if each.status_code == 503]
    assert {reason(each) for each in refused} == {(503, 14, "OVERLOADED")}
    assert {each.headers["retry-after"] for each in refused} == {"1"}
    assert {status for status, _ in looks} == {200}
    assert len(looks) >= LOOKS / 2
    # Where they shared a queue, each would wait for the slow ones: two seconds.
    assert sorted(took for _, took in looks)[len(looks) * 99 // 100] < 0.5


@pytest.mark.usefixtures("narrow")
def test_grpc_callers_of_a_flooded_domain_are_told_too(mesh: MeshStack) -> None:
    async def flood() -> list[str]:
        metadata = (("authorization", f"Bearer {mesh.token()}"),)
        request = activity_service_pb2.GetActivityRequest(name="users/me/activities/slow")
        async with grpc.aio.insecure_channel(mesh.target) as channel:
            stub = activity_service_pb2_grpc.ActivityServiceStub(channel)

            async def one() -> str:
                try:
                    await stub.GetActivity(request, metadata=metadata, timeout=15)
                except grpc.aio.AioRpcError as error:
                    return f"{error.code().name}/{reason_of(error)}"
                return "OK"

            return await asyncio.gather(*(one() for _ in range(OFFERED)))

    assert Counter(asyncio.run(flood())) == {
        "OK": ROOM,
        "UNAVAILABLE/OVERLOADED": OFFERED - ROOM,
    }
