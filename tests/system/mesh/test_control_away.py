"""The control plane is gone for a minute under load: nobody notices, and it catches up at once."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.support.mesh_stack import MeshStack, until
from tests.support.open_streams import OpenStreams
from tests.support.steady_reads import SteadyReads
from tests.system.mesh.test_live_changes import bearer
from tests.system.mesh.test_slices import MOVED, replace, with_a_bad_mapping

AWAY_S = 60
CONVERGES_S = 5.0
RETURNS_S = 5.0


@pytest.fixture
def pair(mesh: MeshStack) -> None:
    """Two workers of training, so that one can be away."""
    mesh.start_worker("training", 1)
    mesh.hand_over("training", [0, 1])
    headers = bearer(mesh.token())

    def answering() -> set[str]:
        activity = f"{mesh.url}/v1/users/me/activities/a1"
        answers = [httpx.get(activity, headers=headers, timeout=10) for _ in range(6)]
        return {each.json().get("activity", {}).get("title", "") for each in answers}

    until(lambda: answering() == {"0", "1"}, "both workers to answer")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.usefixtures("pair")
def test_a_minute_without_control_is_not_noticed_and_is_made_up_for_within_seconds(
    mesh: MeshStack,
) -> None:
    good = mesh.contract.read_bytes()
    streams = OpenStreams(mesh, grpc=10, rest=10, both=10)
    try:
        streams.start()
        # One client for all questions: making one each time would take the core that control needs.
        with (
            SteadyReads(mesh) as load,
            httpx.Client(base_url=mesh.url, headers=bearer(mesh.token()), timeout=10) as asking,
        ):
            mesh.kill("control")
            end = time.monotonic() + AWAY_S
            (mesh.state / "mesh" / "control.json").unlink()
            # Meanwhile the machine goes on: a worker of integration's fellow ends and is back,
            # and a newer contract is laid down.
            mesh.start_worker("identity", 1)
            mesh.workers["identity"] = [0, 1]
            mesh.write_endpoints()
            replace(mesh, with_a_bad_mapping(good))
            while time.monotonic() < end:
                streams.check()
                time.sleep(1)
            assert load.failures == []
            calls = load.good
            mesh.start_control()
            began = time.monotonic()
            until(mesh.control_json, "control to serve", 30)
            returned = time.monotonic()
            until(lambda: moved(asking), "what changed meanwhile to be served", 30)
            took_s = time.monotonic() - returned
            print(f"serves after {returned - began:.2f} s, all is caught up {took_s:.2f} s later")
            until(lambda: load.good > calls + 100, "more calls", 30)
            streams.check()
        assert load.failures == []
        assert load.good > AWAY_S
        # It returns with what was good last, before it judges anything newer.
        assert returned - began < RETURNS_S
        assert took_s < CONVERGES_S
    finally:
        streams.stop()
        replace(mesh, good)
        mesh.workers |= {"identity": [0], "training": [0]}
        mesh.write_endpoints()
        until(lambda: mesh.control_json().get("ready"), "the mesh as it was")
        for name in ("identity-1", "training-1"):
            mesh.end(name)


def moved(client: httpx.Client) -> bool:
    """Whether the newer contract and the newer worker are in force."""
    if client.get(MOVED).status_code != 200:
        return False
    answers = [client.get("/v1/users/me") for _ in range(4)]
    return (
        len({each.json()["profile"]["bio"].partition('"worker": ')[2][:3] for each in answers}) == 2
    )


@pytest.mark.usefixtures("pair")
def test_a_worker_that_dies_while_control_is_away_is_found_out_by_the_proxy(
    mesh: MeshStack,
) -> None:
    """Nobody takes it from the list: retries and health checks do."""
    try:
        with SteadyReads(mesh) as load:
            mesh.kill("control")
            mesh.kill("training-1")
            dead = load.good
            until(lambda: load.good > dead + 100, "more calls", 30)
            mesh.start_worker("training", 1)
            back = load.good
            until(lambda: load.good > back + 100, "more calls", 30)
        assert load.failures == []
    finally:
        (mesh.state / "mesh" / "control.json").unlink()
        mesh.start_control()
        mesh.wait_ready()
        mesh.hand_over("training", [0])
        mesh.end("training-1")
