"""Failures on purpose: their share, their words, and that they end by themselves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import grpc
import httpx
import pytest

from palestra.training.v1 import activity_service_pb2, activity_service_pb2_grpc
from tests.support.grpc_errors import reason_of
from tests.support.mesh_stack import MeshStack, until
from tests.system.mesh.test_edge_rest import reason
from tests.system.mesh.test_live_changes import uncut

ACTIVITY = "/v1/users/me/activities/a1"
STREAMS = "/v1/users/me/activities/a1/streams"
GET = "/palestra.training.v1.ActivityService/GetActivity"
LONG_S = 600.0


@pytest.fixture
def faulty(mesh: MeshStack) -> Iterator[MeshStack]:
    before = mesh.control_json()["versions"]["node"]
    yield mesh
    mesh.write_traffic()
    mesh.restored("node", before)


def inject(mesh: MeshStack, lasting_s: float = LONG_S, **fault: object) -> None:
    fault |= {"service": "training", "until_s": time.time() + lasting_s}
    mesh.settle("node", lambda: mesh.write_traffic(faults=[fault]))


def took_s(user: httpx.Client, path: str = ACTIVITY) -> float:
    begun = time.monotonic()
    assert user.get(path).status_code == 200
    return time.monotonic() - begun


def test_a_delay_delays_and_cuts_no_stream(faulty: MeshStack, user: httpx.Client) -> None:
    with uncut(faulty):
        inject(faulty, delay_ms=400)
        assert took_s(user) >= 0.4
        # Another service does not suffer.
        assert min(took_s(user, "/v1/users/me") for _ in range(3)) < 0.4
        faulty.settle("node", faulty.write_traffic)
        assert min(took_s(user) for _ in range(3)) < 0.4


def test_an_injected_error_says_that_it_is_one(faulty: MeshStack, user: httpx.Client) -> None:
    inject(faulty, abort="UNAVAILABLE", method=GET)
    assert reason(user.get(ACTIVITY)) == (503, 14, "FAULT_INJECTED")
    with grpc.insecure_channel(faulty.target) as channel:
        stub = activity_service_pb2_grpc.ActivityServiceStub(channel)
        request = activity_service_pb2.GetActivityRequest(name="users/me/activities/a1")
        metadata = (("authorization", user.headers["authorization"]),)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetActivity(request, metadata=metadata, timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_of(caught.value) == "FAULT_INJECTED"  # type: ignore[arg-type]
    assert user.get(STREAMS).status_code == 200


@pytest.mark.parametrize(
    ("abort", "status", "code"),
    [("RESOURCE_EXHAUSTED", 429, 8), ("INTERNAL", 500, 13), ("NOT_FOUND", 404, 5)],
)
def test_it_answers_the_code_that_was_asked_for(
    faulty: MeshStack, user: httpx.Client, abort: str, status: int, code: int
) -> None:
    inject(faulty, abort=abort)
    assert reason(user.get(ACTIVITY)) == (status, code, "FAULT_INJECTED")


def test_only_its_share_suffers(faulty: MeshStack, user: httpx.Client) -> None:
    times, share = 400, 0.3
    inject(faulty, abort="INTERNAL", percent=100 * share)
    failed = sum(user.get(ACTIVITY).status_code == 500 for _ in range(times))
    assert abs(failed - times * share) <= 4.5 * math.sqrt(times * share * (1 - share))


def test_it_ends_by_itself_although_control_died_meanwhile(
    mesh: MeshStack, user: httpx.Client
) -> None:
    lasting_s = 6.0
    begun = time.monotonic()
    inject(mesh, lasting_s, abort="INTERNAL")
    assert user.get(ACTIVITY).status_code == 500
    mesh.kill("control")
    mesh.start_control()
    mesh.wait_ready()
    holding = mesh.control_json()["versions"]["node"]
    if time.monotonic() - begun < lasting_s - 1:
        # A control plane that came back knows of it, and of its end.
        assert user.get(ACTIVITY).status_code == 500
    until(lambda: user.get(ACTIVITY).status_code == 200, "the fault to end", 15)
    assert time.monotonic() - begun >= lasting_s - 0.5
    # What control reports follows what it has pushed.
    until(lambda: mesh.control_json()["versions"]["node"] != holding, "the report of it")
    assert not mesh.control_json()["rejected"]
    mesh.write_traffic()
