"""One domain's part of the contract is bad; it keeps its last good, and the others move."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import httpx
import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from mesh.control.wire import FILTERS
from tests.support.mesh_stack import MeshStack, until
from tests.system.mesh.test_live_changes import answers, bearer, uncut

MOVED = "/v2/users/me/activities/a1"


def with_a_bad_mapping(descriptor_set: bytes) -> bytes:
    """A response_body of identity's, which Envoy cannot serve, and a new path of training's."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    for file in files.file:
        for service in file.service:
            for method in service.method:
                rule = method.options.Extensions[annotations_pb2.http]
                if method.name == "GetProfile":
                    rule.response_body = "profile"
                if method.name == "GetActivity":
                    rule.additional_bindings.add(get="/v2/{name=users/*/activities/*}")
    return files.SerializeToString()


def replace(mesh: MeshStack, contract: bytes) -> None:
    """Lays down another contract, at once."""
    fresh = mesh.contract.with_suffix(".new")
    fresh.write_bytes(contract)
    fresh.replace(mesh.contract)


def status(mesh: MeshStack, path: str) -> int:
    return httpx.get(f"{mesh.url}{path}", headers=bearer(mesh.token()), timeout=10).status_code


@pytest.fixture
def spoilt(mesh: MeshStack) -> Iterator[bytes]:
    """The contract is bad in identity and new in training; the good one, for later."""
    good = mesh.contract.read_bytes()
    with uncut(mesh):
        replace(mesh, with_a_bad_mapping(good))
        until(lambda: mesh.control_json()["slices"]["identity"]["error"], "Envoy's refusal")
        until(lambda: mesh.control_json()["ready"], "the rest to be taken")
    yield good
    with uncut(mesh):
        replace(mesh, good)
        until(lambda: not mesh.control_json()["rejected"], "the refusal to be over")
        until(lambda: mesh.control_json()["ready"], "all to be taken")


def test_what_envoy_refuses_is_not_served_and_shows_until_mended(
    mesh: MeshStack, spoilt: bytes, user: httpx.Client
) -> None:
    slices = mesh.control_json()["slices"]
    assert "response_body" in slices["identity"]["error"]
    assert slices["identity"]["version"] != slices["identity"]["refused"]
    assert slices["training"]["error"] is None
    rejected = [(each["proxy"], each["type_url"]) for each in mesh.control_json()["rejected"]]
    assert rejected == [("control", "slice identity")]
    # Identity serves as before, and training what is new.
    assert user.get("/v1/users/me").status_code == 200
    assert status(mesh, MOVED) == 200


def test_an_edge_that_starts_and_a_control_that_restarts_have_the_last_good(
    mesh: MeshStack, spoilt: bytes
) -> None:
    mesh.kill("edge")
    mesh.kill("control")
    (mesh.state / "mesh" / "control.json").unlink()
    mesh.start_control()
    mesh.start_edge()
    mesh.wait_ready()
    until(lambda: answers(mesh), "a fresh edge to serve")
    assert status(mesh, MOVED) == 200
    assert mesh.control_json()["slices"]["identity"]["error"]


def test_what_only_the_proxy_refuses_falls_back_too(mesh: MeshStack) -> None:
    """A control plane that has no Envoy to ask beside it."""
    other = MeshStack()
    module = "tests.support.trusting_control"
    try:
        other.write_keys()
        other.write_endpoints()
        other.start_control([sys.executable, "-m", module])
        for service in ("identity", "training"):
            other.start_worker(service, 0)
        other.start_node()
        other.start_edge()
        other.wait_ready()
        before = other.control_json()["slices"]
        kept = other.state / "mesh" / "slices.json"
        until(kept.exists, "the last good to be kept")
        replace(other, with_a_bad_mapping(other.contract.read_bytes()))
        refused = until(lambda: other.control_json()["slices"]["identity"]["error"], "a refusal")
        assert "response_body" in refused
        until(lambda: other.control_json()["ready"], "the last good to be taken again")
        after = other.control_json()
        assert after["slices"]["identity"]["version"] == before["identity"]["version"]
        assert after["slices"]["training"]["version"] != before["training"]["version"]
        assert not [each for each in after["rejected"] if each["type_url"] == FILTERS]
        until(lambda: answers(other), "identity to serve as before")
    finally:
        other.stop()
