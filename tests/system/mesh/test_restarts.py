"""A part of the mesh dies; the rest goes on, and it comes back by itself."""

from __future__ import annotations

import signal
import threading
import time

import httpx

from mesh.control.bootstrap import node_bootstrap
from tests.support.mesh_stack import MeshStack, until
from tests.system.mesh.test_edge_rest import reason, seen
from tests.system.mesh.test_live_changes import answers, bearer, uncut


def test_control_dies_and_nobody_notices(mesh: MeshStack, user: httpx.Client) -> None:
    statuses: list[int] = []
    done = threading.Event()

    def load() -> None:
        with httpx.Client(base_url=mesh.url, headers=bearer(mesh.token()), timeout=10) as client:
            while not done.is_set():
                statuses.append(client.get("/v1/users/me/activities/a1").status_code)
                time.sleep(0.01)

    thread = threading.Thread(target=load)
    with uncut(mesh):
        thread.start()
        try:
            mesh.kill("control")
            assert user.get("/v1/users/me").status_code == 200
            (mesh.state / "mesh" / "control.json").unlink()
            mesh.start_control()
            mesh.wait_ready()
            time.sleep(0.3)
        finally:
            done.set()
            thread.join()
    assert len(statuses) > 20
    assert set(statuses) == {200}


def test_control_that_came_back_is_heard_again(mesh: MeshStack, user: httpx.Client) -> None:
    path = "/palestra.identity.v1.ProfileService/GetProfile"
    mesh.kill("control")
    mesh.start_control()
    mesh.wait_ready()
    try:
        limit = {path: {"limit": {"requests": 1, "window_s": 60}}}
        mesh.settle("edge", lambda: mesh.write_overrides(limit))
        assert [user.get("/v1/users/me").status_code for _ in range(2)] == [200, 429]
    finally:
        mesh.settle("edge", lambda: mesh.write_overrides({}))


def test_tokens_hold_while_identity_and_control_are_both_away(
    mesh: MeshStack, rest: httpx.Client
) -> None:
    """The last keys are on disk: a restart opens no hole and closes no door."""
    mesh.kill("identity-0")
    mesh.kill("control")
    mesh.start_control()
    mesh.wait_ready()
    try:
        mesh.kill("edge")
        mesh.start_edge()
        watching = "/v1/users/me/activities/a1"
        until(lambda: is_up(mesh), "the edge to be back")
        signed = rest.get(watching, headers=bearer(mesh.token()))
        assert signed.status_code == 200
        assert reason(rest.get(watching))[2] == "TOKEN_MISSING"
        # The service itself is away, which is said at once and with its reason.
        away = rest.get("/v1/users/me", headers=bearer(mesh.token()))
        assert reason(away) == (503, 14, "UNAVAILABLE")
    finally:
        mesh.start_worker("identity", 0)
    until(lambda: answers(mesh), "identity to be back")


def is_up(mesh: MeshStack) -> bool:
    try:
        return httpx.get(f"{mesh.url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_the_node_proxy_comes_back_with_everything(mesh: MeshStack, user: httpx.Client) -> None:
    mesh.kill("node")
    assert reason(user.get("/v1/users/me")) == (503, 14, "UNAVAILABLE")
    before = time.monotonic()
    mesh.start_envoy("node", node_bootstrap(mesh.state))
    until(lambda: answers(mesh), "the node proxy to serve again")
    assert time.monotonic() - before < 5
    assert seen(user.get("/v1/users/me"))["x-palestra-mesh-proof"]


def test_a_worker_that_is_slow_for_a_moment_is_not_taken_for_dead(
    mesh: MeshStack, user: httpx.Client
) -> None:
    """As on a machine with more to do than it can: one health check comes too late."""
    worker = mesh.processes["identity-0"]
    worker.send_signal(signal.SIGSTOP)
    try:
        time.sleep(1.0 + 2 * 0.25 + 0.1)
    finally:
        worker.send_signal(signal.SIGCONT)
    assert user.get("/v1/users/me").status_code == 200


def test_two_edges_on_one_port_collide_and_say_so(mesh: MeshStack) -> None:
    other = MeshStack()
    other.port = mesh.port
    try:
        other.write_keys()
        other.start_control()
        other.start_edge()
        rejected = until(lambda: other.control_json().get("rejected"), "the collision to show")
        assert "cannot bind" in rejected[0]["error"]
        assert not other.control_json()["ready"]
    finally:
        other.stop()


def test_control_needs_to_know_its_state_folder() -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "mesh.control"],
        env={},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "PALESTRA_STATE is not set: it names the stack's state folder"
    )
