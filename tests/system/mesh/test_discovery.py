"""Both forms of discovery, each against two real Envoys and the real control plane."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from mesh.control.bootstrap import WHOLE
from tests.support.mesh_stack import MeshStack, until
from tests.system.mesh.test_live_changes import GET_PROFILE, answers, uncut


@pytest.fixture(scope="module")
def whole() -> Iterator[MeshStack]:
    """A mesh whose Envoys ask for the state of the world."""
    stack = MeshStack(WHOLE)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def admin(mesh: MeshStack, proxy: str, path: str) -> str:
    """What an Envoy's admin interface says."""
    transport = httpx.HTTPTransport(uds=str(mesh.run / f"{proxy}.admin.sock"))
    with httpx.Client(transport=transport, base_url="http://admin") as client:
        return client.get(path).text


def updates(mesh: MeshStack, proxy: str) -> dict[str, int]:
    """How often a proxy took listeners, clusters and routes."""
    text = admin(mesh, proxy, "/stats?format=json&filter=(lds|cds|rds.*)\\.update_success")
    return {each["name"]: each["value"] for each in json.loads(text)["stats"]}


def test_the_state_of_the_world_is_served_too(whole: MeshStack) -> None:
    assert answers(whole)
    slower = {GET_PROFILE: {"timeout_ms": 700}}
    with uncut(whole):
        whole.settle("edge", lambda: whole.write_overrides(slower))
        whole.settle("node", lambda: whole.write_overrides({}))
    whole.kill("control")
    whole.start_control()
    whole.wait_ready()
    assert answers(whole)


def test_each_proxy_speaks_the_form_that_it_was_started_with(
    mesh: MeshStack, whole: MeshStack
) -> None:
    for stack, session in ((mesh, "DeltaSession"), (whole, "Session")):
        log = (stack.state / "logs" / "control.log").read_text()
        said = [json.loads(line) for line in log.splitlines() if '"connected"' in line]
        assert {(each["proxy"], each["protocol"]) for each in said} == {
            ("edge", session),
            ("node", session),
        }


def test_a_proxy_that_finds_control_again_is_not_told_what_it_knows(mesh: MeshStack) -> None:
    before = {proxy: updates(mesh, proxy) for proxy in ("edge", "node")}
    assert all(before.values())
    mesh.kill("control")
    (mesh.state / "mesh" / "control.json").unlink()
    mesh.start_control()
    until(lambda: mesh.control_json().get("ready"), "both proxies to be back")
    assert {proxy: updates(mesh, proxy) for proxy in ("edge", "node")} == before
    # And is told what it does not know.
    mesh.settle("edge", lambda: mesh.write_overrides({GET_PROFILE: {"timeout_ms": 700}}))
    changed = updates(mesh, "edge")
    mesh.settle("edge", lambda: mesh.write_overrides({}))
    different = {name for name in changed if changed[name] != before["edge"][name]}
    assert different == {"http.edge.rds.edge.update_success"}
