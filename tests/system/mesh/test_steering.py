"""A canary's share, a developer's own copy: whoever calls, and with no stream cut."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import grpc
import httpx
import pytest

from palestra.training.v1 import tracker_service_pb2, tracker_service_pb2_grpc
from tests.support.mesh_stack import MeshStack, until
from tests.system.mesh.test_edge_rest import reason
from tests.system.mesh.test_live_changes import uncut

ACTIVITY = "/v1/users/me/activities/a1"
NEXT = 5
ANNA = {"x-palestra-dev": "anna"}


@pytest.fixture
def canary(mesh: MeshStack) -> Iterator[MeshStack]:
    """A second subset of training's workers, to which nothing leads yet."""
    before = mesh.control_json()["versions"]["node"]
    mesh.start_worker("training", NEXT)
    mesh.workers["training:next"] = [NEXT]
    mesh.settle("node", mesh.write_endpoints)
    yield mesh
    mesh.write_traffic()
    del mesh.workers["training:next"]
    mesh.write_endpoints()
    mesh.restored("node", before)
    if f"training-{NEXT}" in mesh.processes:
        mesh.end(f"training-{NEXT}")


def steer(mesh: MeshStack, **steering: object) -> None:
    mesh.settle("node", lambda: mesh.write_traffic(routes={"training": steering}))


def answering(
    user: httpx.Client, times: int, headers: dict[str, str] | None = None
) -> Counter[str]:
    """Which worker answered how often."""
    found: Counter[str] = Counter()
    for _ in range(times):
        answer = user.get(ACTIVITY, headers=headers)
        assert answer.status_code == 200, answer.text
        found[answer.json()["activity"]["title"]] += 1
    return found


def spread(times: int, share: float) -> float:
    """How far a binomial count lies from its mean once in 150,000 times."""
    return 4.5 * math.sqrt(times * share * (1 - share))


def healthy(mesh: MeshStack, user: httpx.Client) -> None:
    until(lambda: user.get(ACTIVITY, headers=ANNA).status_code == 200, "the copy to be healthy")


def test_a_canary_gets_its_share_and_no_stream_is_cut(
    canary: MeshStack, user: httpx.Client
) -> None:
    times, share = 1000, 0.1
    with uncut(canary):
        steer(canary, headers={"anna": "next"}, weights={"next": 10})
        healthy(canary, user)
        found = answering(user, times)
        assert abs(found[str(NEXT)] - share * times) <= spread(times, share)
        assert found["0"] == times - found[str(NEXT)]
        steer(canary, weights={"next": 100})
        assert answering(user, 30) == {str(NEXT): 30}
    with uncut(canary):
        canary.settle("node", canary.write_traffic)
        assert answering(user, 30) == {"0": 30}


def test_a_header_leads_to_the_copy_and_to_nobody_else(
    canary: MeshStack, user: httpx.Client
) -> None:
    with uncut(canary):
        steer(canary, headers={"anna": "next"})
        healthy(canary, user)
        assert answering(user, 30, ANNA) == {str(NEXT): 30}
        assert answering(user, 30) == {"0": 30}
        assert answering(user, 30, {"x-palestra-dev": "bob"}) == {"0": 30}
        assert answering(user, 30, {"x-palestra-other": "anna"}) == {"0": 30}


def test_a_copy_is_reached_by_its_socket_alone(canary: MeshStack, user: httpx.Client) -> None:
    steer(canary, headers={"anna": f"unix:{canary.run}/training-{NEXT}.sock"})
    healthy(canary, user)
    assert answering(user, 10, ANNA) == {str(NEXT): 10}


def test_a_dead_canary_costs_nobody_an_answer(canary: MeshStack, user: httpx.Client) -> None:
    """Although the endpoints still name it: until its death is noticed, and after."""
    steer(canary, headers={"anna": "next"}, weights={"next": 50})
    healthy(canary, user)
    assert set(answering(user, 30)) == {"0", str(NEXT)}
    canary.kill(f"training-{NEXT}")
    assert answering(user, 60) == {"0": 60}


def test_a_dead_copy_has_no_stand_in(canary: MeshStack, user: httpx.Client) -> None:
    steer(canary, headers={"anna": f"unix:{canary.run}/nobody.sock"})
    assert reason(user.get(ACTIVITY, headers=ANNA)) == (503, 14, "UNAVAILABLE")
    assert answering(user, 5) == {"0": 5}


def test_calls_between_services_are_led_as_well(canary: MeshStack) -> None:
    steer(canary, headers={"anna": f"unix:{canary.run}/nobody.sock"})

    def ingest(metadata: tuple[tuple[str, str], ...]) -> grpc.StatusCode:
        with grpc.insecure_channel(f"unix:{canary.run}/integration.out.sock") as channel:
            stub = tracker_service_pb2_grpc.TrackerServiceStub(channel)
            calls = stub.IngestTelemetry(
                iter([tracker_service_pb2.IngestTelemetryRequest()]), metadata=metadata, timeout=10
            )
            try:
                assert len(list(calls)) == 1
            except grpc.RpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    assert ingest(()) is grpc.StatusCode.OK
    assert ingest(tuple(ANNA.items())) is grpc.StatusCode.UNAVAILABLE


def test_what_cannot_be_meant_changes_nothing_and_shows(
    mesh: MeshStack, user: httpx.Client
) -> None:
    before = mesh.control_json()["versions"]
    mesh.write_traffic(routes={"training": {"weights": {"next": 110}}})
    rejected = until(lambda: mesh.control_json()["rejected"], "the refusal")
    assert [each["type_url"] for each in rejected] == ["traffic.json"]
    assert mesh.control_json()["versions"] == before
    assert answering(user, 3) == {"0": 3}
    mesh.write_traffic()
    until(lambda: not mesh.control_json()["rejected"], "the refusal to be over")
