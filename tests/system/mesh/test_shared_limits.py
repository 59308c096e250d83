"""What all edges count together: two edges, a limiter each, one Redis, and each of them gone."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2

from palestra.identity.v1 import auth_service_pb2, auth_service_pb2_grpc
from tests.support.counted_mesh import TIMEOUT_MS, CountedMesh, counted_meshes
from tests.support.grpc_errors import reason_of, status_details
from tests.support.mesh_stack import until
from tests.system.mesh.test_edge_rest import reason
from tests.system.mesh.test_live_changes import uncut

REGISTER = "/palestra.identity.v1.AuthService/Register"
LOGOUT = "/palestra.identity.v1.AuthService/Logout"
BODY = {"email": "a@b"}
HOUR_S = 3600


@pytest.fixture(scope="module")
def meshes() -> Iterator[list[CountedMesh]]:
    with counted_meshes({}, {"PALESTRA_TRUSTED_HOPS": "1"}) as made:
        yield made


@pytest.fixture
def mesh(meshes: list[CountedMesh]) -> CountedMesh:
    """The edge that has nothing before it."""
    return meshes[0]


@pytest.fixture
def behind(meshes: list[CountedMesh]) -> CountedMesh:
    """The edge that has one proxy before it."""
    return meshes[1]


_used = iter(range(5, 10_000))


@contextmanager
def limited(*meshes: CountedMesh, requests: int) -> Iterator[int]:
    """Register may be called so often in a window that no other test has; the window, in s."""
    window_s = HOUR_S + next(_used)
    limit = {REGISTER: {"limit": {"requests": requests, "window_s": window_s}}}
    for mesh in meshes:
        mesh.settle("edge", lambda mesh=mesh: mesh.write_overrides(limit))  # type: ignore[misc]
    try:
        yield window_s
    finally:
        for mesh in meshes:
            mesh.settle("edge", lambda mesh=mesh: mesh.write_overrides({}))  # type: ignore[misc]


def register(mesh: CountedMesh, **headers: str) -> httpx.Response:
    return httpx.post(f"{mesh.url}/v1/auth:register", json=BODY, headers=headers, timeout=10)


def state(answer: httpx.Response) -> tuple[int, str, str]:
    """The status and what is told of the limit."""
    found = answer.headers
    assert found["ratelimit-policy"].startswith('"address";q=')
    return answer.status_code, found.get("x-ratelimit-remaining", ""), found.get("ratelimit", "")


async def at_once(meshes: list[CountedMesh], each: int) -> Counter[int]:
    """The statuses of so many calls to each edge, all at the same time."""
    async with httpx.AsyncClient(timeout=20) as client:
        calls = [
            client.post(f"{mesh.url}/v1/auth:register", json=BODY)
            for _ in range(each)
            for mesh in meshes
        ]
        return Counter(answer.status_code for answer in await asyncio.gather(*calls))


def test_two_edges_let_through_together_exactly_as_many_as_is_allowed(
    meshes: list[CountedMesh],
) -> None:
    with limited(*meshes, requests=25):
        assert asyncio.run(at_once(meshes, each=40)) == {200: 25, 429: 55}


def test_what_one_edge_let_through_the_other_knows(meshes: list[CountedMesh]) -> None:
    one, other = meshes
    with limited(*meshes, requests=2) as window_s:
        assert state(register(one)) == (200, "1", '"address";r=1')
        assert state(register(other))[:2] == (200, "0")
        refused = register(one)
        assert refused.headers["ratelimit-policy"] == f'"address";q=2;w={window_s}'
        wait_s = int(refused.headers["retry-after"])
        assert 0 <= window_s - wait_s < 60
        assert state(refused) == (429, "0", f'"address";r=0;t={wait_s}')
        assert refused.headers.get_list("x-ratelimit-reset") == [str(wait_s)]
        assert refused.headers.get_list("x-ratelimit-limit") == ["2"]
        assert reason(refused) == (429, 8, "OVERLOADED")
        (retry,) = (e for e in refused.json()["details"] if e["@type"].endswith("RetryInfo"))
        assert retry["retryDelay"] == f"{wait_s}s"
        assert "grpc-status-details-bin" not in refused.headers


async def test_grpc_is_told_the_same_in_its_own_way(mesh: CountedMesh) -> None:
    request = auth_service_pb2.RegisterRequest(email="a@b")
    with limited(mesh, requests=1):
        async with grpc.aio.insecure_channel(mesh.target) as channel:
            stub = auth_service_pb2_grpc.AuthServiceStub(channel)
            passed = stub.Register(request, timeout=10)
            await passed
            told = dict(await passed.initial_metadata())
            assert told["x-ratelimit-remaining"] == "0"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Register(request, timeout=10)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(caught.value) == "OVERLOADED"
    metadata = [*(caught.value.initial_metadata() or ()), *(caught.value.trailing_metadata() or ())]
    shown = {str(key): value for key, value in metadata}
    assert shown["ratelimit"] == f'"address";r=0;t={shown["retry-after"]}'
    status = status_pb2.Status.FromString(status_details(caught.value) or b"")
    assert status.code == 8
    retry = error_details_pb2.RetryInfo()
    assert [each.Unpack(retry) for each in status.details].count(True) == 1
    assert str(retry.retry_delay.seconds) == shown["retry-after"]


def test_no_header_of_a_client_makes_it_somebody_else(mesh: CountedMesh) -> None:
    with limited(mesh, requests=2):
        lies = [
            {"x-forwarded-for": "192.0.2.1"},
            {"x-forwarded-for": "192.0.2.2, 192.0.2.3"},
            {"x-real-ip": "192.0.2.4", "forwarded": "for=192.0.2.5"},
            {"x-envoy-external-address": "192.0.2.6", "true-client-ip": "192.0.2.7"},
        ]
        answers = [register(mesh, **each).status_code for each in lies]
    assert answers == [200, 200, 429, 429]


def test_behind_a_proxy_of_ours_its_word_counts_and_nothing_before_it(behind: CountedMesh) -> None:
    with limited(behind, requests=1):
        said = ["192.0.2.1", "192.0.2.2", "192.0.2.9, 192.0.2.1", "192.0.2.2"]
        answers = [register(behind, **{"x-forwarded-for": each}).status_code for each in said]
    assert answers == [200, 200, 429, 429]


def test_the_addresses_of_one_ipv6_network_are_one_caller(behind: CountedMesh) -> None:
    with limited(behind, requests=1):
        said = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"]
        answers = [register(behind, **{"x-forwarded-for": each}).status_code for each in said]
    assert answers == [200, 429, 200]


def test_a_changed_limit_holds_at_once_and_cuts_no_stream(mesh: CountedMesh) -> None:
    with uncut(mesh):
        with limited(mesh, requests=1):
            assert [register(mesh).status_code for _ in range(2)] == [200, 429]
        with limited(mesh, requests=3):
            assert [register(mesh).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert register(mesh).status_code == 200


def test_what_is_refused_at_the_edge_does_not_trouble_the_limiter(mesh: CountedMesh) -> None:
    with limited(mesh, requests=3):
        before = mesh.decisions("redis", "passed"), mesh.decisions("redis", "refused")
        assert Counter(register(mesh).status_code for _ in range(20)) == {200: 3, 429: 17}
        assert mesh.decisions("redis", "passed") == before[0] + 3
        assert mesh.decisions("redis", "refused") == before[1]


def test_without_its_limiter_the_edge_serves_and_counts_alone(mesh: CountedMesh) -> None:
    with limited(mesh, requests=3), uncut(mesh):
        mesh.kill("limiter-0")
        answers = [register(mesh) for _ in range(5)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
        # It does not know what is left of the common count, and says nothing of it.
        assert "ratelimit" not in answers[0].headers
        refused = answers[-1]
        wait_s = int(refused.headers["retry-after"])
        assert 0 < wait_s <= HOUR_S
        assert state(refused) == (429, "0", f'"address";r=0;t={wait_s}')
        assert reason(refused) == (429, 8, "OVERLOADED")
        mesh.start_limiter()
        mesh.wait_counted()
    with limited(mesh, requests=1):
        until(lambda: state(register(mesh))[1] == "0", "the limiter to count again")


def test_a_limiter_that_hangs_costs_its_timeout_and_soon_nothing(mesh: CountedMesh) -> None:
    with limited(mesh, requests=100):
        assert state(register(mesh))[1] == "99"
        mesh.signal_limiter(signal.SIGSTOP)
        try:
            before = time.monotonic()
            assert register(mesh).status_code == 200
            assert time.monotonic() - before < 2 * TIMEOUT_MS / 1000 + 1
            mesh.wait_counted(healthy=False)
            took_s = []
            for _ in range(3):
                before = time.monotonic()
                assert register(mesh).status_code == 200
                took_s.append(time.monotonic() - before)
            assert min(took_s) < TIMEOUT_MS / 1000
        finally:
            mesh.signal_limiter(signal.SIGCONT)
        mesh.wait_counted()
        until(lambda: state(register(mesh))[1], "the limiter to count again")


def test_without_redis_each_limiter_counts_alone(meshes: list[CountedMesh]) -> None:
    one, other = meshes
    with limited(*meshes, requests=2):
        assert register(one).status_code == 200
        one.stores.kill("redis")
        try:
            # What was counted in Redis is not known here; the guard of the edge knows it.
            assert [register(one).status_code for _ in range(2)] == [200, 429]
            answers = [register(other) for _ in range(3)]
            assert [each.status_code for each in answers] == [200, 200, 429]
            assert state(answers[0])[1] == "1"
            assert other.decisions("alone", "passed") >= 2
        finally:
            one.stores.start("redis")
        counted = other.decisions("redis", "passed")

        def counts_again() -> bool:
            register(other, **{"x-forwarded-for": f"192.0.2.{next(_used) % 250}"})
            return other.decisions("redis", "passed") > counted

        until(counts_again, "redis to count again")
