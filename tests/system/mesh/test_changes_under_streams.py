"""Each kind of what the proxies are told changes under fifty open streams: none is cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import descriptor_pb2

from mesh.control.succession import ASKED_FOR
from palestra.mesh.v1 import policy_pb2
from tests.support.mesh_stack import MeshStack, until
from tests.support.open_streams import OpenStreams
from tests.support.steady_reads import SteadyReads
from tests.system.mesh.test_discovery import admin
from tests.system.mesh.test_live_changes import GET_PROFILE, answers
from tests.system.mesh.test_slices import replace

SERVICES = ("identity", "integration", "training")


@pytest.fixture(scope="module")
def stack() -> Iterator[MeshStack]:
    """A mesh whose state nobody else needs."""
    made = MeshStack()
    try:
        made.start()
        until(lambda: answers(made), "the mesh to serve")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def streams(stack: MeshStack) -> Iterator[OpenStreams]:
    opened = OpenStreams(stack, grpc=20, rest=15, both=15)
    try:
        opened.start()
        yield opened
    finally:
        opened.stop()


def other_words(descriptor_set: bytes) -> bytes:
    """The contract with other words for a refusal of the mesh's own."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    for file in files.file:
        for enum in file.enum_type if file.package == "palestra.mesh.v1" else ():
            for value in enum.value:
                if value.name == "ERROR_REASON_OVERLOADED":
                    value.options.Extensions[policy_pb2.error].en = "Enough."
    return files.SerializeToString()


def other_callers(descriptor_set: bytes) -> bytes:
    """The contract with another service that may call a method of identity's."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    for file in files.file:
        for service in file.service:
            for method in service.method:
                if method.name == "GetProfile":
                    method.options.Extensions[policy_pb2.policy].callers.append("training")
    return files.SerializeToString()


def listeners(mesh: MeshStack) -> None:
    good = mesh.contract.read_bytes()
    mesh.settle("node", lambda: replace(mesh, other_words(good)))
    for proxy in ("edge", "node"):
        # The old ones are still there: they have streams.
        stat = admin(mesh, proxy, "/stats?filter=listener_manager.total_filter_chains_draining")
        assert int(stat.rpartition(": ")[2]) > 0
    mesh.settle("node", lambda: replace(mesh, good))


def access_rules_and_the_transcoder(mesh: MeshStack) -> None:
    good = mesh.contract.read_bytes()
    mesh.settle("node", lambda: replace(mesh, other_callers(good)))
    mesh.settle("node", lambda: replace(mesh, good))


def routes(mesh: MeshStack) -> None:
    mesh.settle("node", lambda: mesh.write_overrides({GET_PROFILE: {"timeout_ms": 700}}))
    mesh.settle("node", lambda: mesh.write_overrides({}))


def limits(mesh: MeshStack) -> None:
    limit = {"limit": {"requests": 10_000}}
    mesh.settle("edge", lambda: mesh.write_overrides({GET_PROFILE: limit}))
    mesh.settle("edge", lambda: mesh.write_overrides({}))


def clusters(mesh: MeshStack) -> None:
    fewer = {service: {"requests": 77, "streams": 20_000} for service in SERVICES}
    mesh.settle("edge", lambda: mesh.write_overrides({}, capacity=fewer))
    mesh.settle("node", lambda: mesh.write_overrides({}))


def endpoints(mesh: MeshStack) -> None:
    """The worker that has the streams gets no new ones; it is not gone for that."""
    mesh.start_worker("training", 1)
    for workers in ([0, 1], [1], [0, 1], [0]):
        mesh.hand_over("training", workers)


def token_keys(mesh: MeshStack) -> None:
    mesh.keys["k2"] = Ed25519PrivateKey.generate()
    mesh.settle("edge", mesh.write_keys)
    del mesh.keys["k2"]
    mesh.settle("edge", mesh.write_keys)


def certificates(mesh: MeshStack) -> None:
    before = serials(mesh)
    mesh.kill("control")
    (mesh.state / "mesh" / "control.json").unlink()
    mesh.start_control()
    mesh.wait_ready()
    until(lambda: not (serials(mesh) & before), "new certificates of all")


def trust(mesh: MeshStack) -> None:
    folder = mesh.state / "mesh"
    (folder / ASKED_FOR).touch()
    until((folder / "former.pem").exists, "another authority to sign", 60)
    until(lambda: mesh.control_json()["ready"], "everybody to know")


def serials(mesh: MeshStack) -> set[str]:
    """The serial numbers of the workloads' certificates that the proxies have."""
    found = set()
    for proxy in ("edge", "node"):
        for each in json.loads(admin(mesh, proxy, "/certs"))["certificates"]:
            found |= {chain["serial_number"] for chain in each["cert_chain"]}
    return found


@pytest.mark.parametrize(
    "change",
    [
        routes,
        limits,
        clusters,
        endpoints,
        token_keys,
        access_rules_and_the_transcoder,
        listeners,
        certificates,
        trust,
    ],
    ids=lambda change: change.__name__,
)
def test_no_stream_is_cut_and_no_read_fails_when_there_are_other(
    stack: MeshStack, streams: OpenStreams, change: Callable[[MeshStack], None]
) -> None:
    with SteadyReads(stack) as reads:
        change(stack)
        streams.check()
    assert reads.failures == []
    assert reads.good > 0
    assert answers(stack)
