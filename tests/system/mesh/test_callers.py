"""Who may call whom inside the mesh."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.control.authority import create_authority, open_authority, utc_now
from palestra.identity.v1 import (
    key_service_pb2,
    key_service_pb2_grpc,
    profile_service_pb2,
    profile_service_pb2_grpc,
)
from palestra.training.v1 import tracker_service_pb2, tracker_service_pb2_grpc
from tests.support.grpc_errors import reason_of
from tests.support.mesh_stack import MeshStack


def as_workload(mesh: MeshStack, workload: str, service: str) -> grpc.aio.Channel:
    """A channel to a service's inbound listener with a workload's certificate of our CA."""
    now = utc_now()
    authority = open_authority(mesh.state / "mesh", now)
    identity = authority.issue(workload, now)
    credentials = grpc.ssl_channel_credentials(
        authority.ca_pem, identity.key_pem, identity.chain_pem
    )
    options = [("grpc.ssl_target_name_override", service)]
    socket_path = mesh.run / f"{service}.in.sock"
    return grpc.aio.secure_channel(f"unix:{socket_path}", credentials, options)


def from_service(mesh: MeshStack, service: str) -> grpc.aio.Channel:
    """What a service's own processes use for every call."""
    return grpc.aio.insecure_channel(f"unix:{mesh.run / f'{service}.out.sock'}")


async def key_set(channel: grpc.aio.Channel) -> int:
    stub = key_service_pb2_grpc.KeyServiceStub(channel)
    answer = await stub.GetKeySet(key_service_pb2.GetKeySetRequest(), timeout=5)
    return len(answer.keys)


async def profile(channel: grpc.aio.Channel) -> None:
    stub = profile_service_pb2_grpc.ProfileServiceStub(channel)
    await stub.GetProfile(profile_service_pb2.GetProfileRequest(name="users/me"), timeout=5)


async def frames() -> AsyncIterator[tracker_service_pb2.IngestTelemetryRequest]:
    frame = tracker_service_pb2.SessionFrame(session="s", epoch=1)
    yield tracker_service_pb2.IngestTelemetryRequest(frames=[frame])


async def ingest(channel: grpc.aio.Channel) -> str:
    stub = tracker_service_pb2_grpc.TrackerServiceStub(channel)
    async for answer in stub.IngestTelemetry(frames(), timeout=5):
        return answer.results[0].session
    return ""


async def refused_ingest(channel: grpc.aio.Channel) -> None:
    """Opens the stream and says nothing: a message that meets the refusal could hide it."""
    stub = tracker_service_pb2_grpc.TrackerServiceStub(channel)
    await stub.IngestTelemetry(None, timeout=5).read()


async def health(channel: grpc.aio.Channel) -> int:
    answer = await health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(), timeout=5
    )
    return int(answer.status)


@pytest.mark.parametrize("workload", ["training", "integration", "control", "operator", "edge"])
async def test_whoever_verifies_reads_the_keys(mesh: MeshStack, workload: str) -> None:
    async with as_workload(mesh, workload, "identity") as channel:
        assert await key_set(channel) >= 1


async def test_strangers_do_not(mesh: MeshStack) -> None:
    async with as_workload(mesh, "stranger", "identity") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await key_set(channel)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert reason_of(caught.value) == "CALLER_REFUSED"


async def test_the_edge_speaks_for_people_and_others_do_not(mesh: MeshStack) -> None:
    async with as_workload(mesh, "edge", "identity") as channel:
        await profile(channel)
    for workload in ("training", "control", "operator"):
        async with as_workload(mesh, workload, "identity") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await profile(channel)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_health_is_the_operators(mesh: MeshStack) -> None:
    async with as_workload(mesh, "operator", "training") as channel:
        assert await health(channel) == health_pb2.HealthCheckResponse.SERVING
    async with as_workload(mesh, "edge", "training") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health(channel)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_service_calls_whom_the_contract_lets_it_call(mesh: MeshStack) -> None:
    async with from_service(mesh, "integration") as channel:
        assert await ingest(channel) == "s"
        assert await key_set(channel) >= 1


async def test_a_service_is_refused_elsewhere_before_it_leaves(mesh: MeshStack) -> None:
    async with from_service(mesh, "identity") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await refused_ingest(channel)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert reason_of(caught.value) == "CALLER_REFUSED"


async def test_a_name_signed_by_another_authority_is_nobody(mesh: MeshStack) -> None:
    now = utc_now()
    false = create_authority(now).issue("control", now)
    true = open_authority(mesh.state / "mesh", now)
    credentials = grpc.ssl_channel_credentials(true.ca_pem, false.key_pem, false.chain_pem)
    options = [("grpc.ssl_target_name_override", "identity")]
    target = f"unix:{mesh.run / 'identity.in.sock'}"
    async with grpc.aio.secure_channel(target, credentials, options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await key_set(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_plaintext_is_refused(mesh: MeshStack) -> None:
    target = f"unix:{mesh.run / 'identity.in.sock'}"
    async with grpc.aio.insecure_channel(target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await key_set(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_nothing_older_than_tls_1_3_is_spoken(mesh: MeshStack) -> None:
    context = ssl.create_default_context(cafile=str(mesh.state / "mesh" / "ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(5)
        plain.connect(str(mesh.run / "identity.in.sock"))
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            context.wrap_socket(plain, server_hostname="identity")


def test_every_socket_is_its_owners_alone(mesh: MeshStack) -> None:
    listeners = [*mesh.run.glob("*.in.sock"), *mesh.run.glob("*.out.sock")]
    # A pair per service, and the way in for the edge's own processes.
    assert len(listeners) == 7
    for path in [*listeners, mesh.run / "xds.sock", mesh.run / "edge.admin.sock"]:
        assert path.stat().st_mode & 0o777 == 0o600, path
    for name in ("proof", "ca.key", "keys.json", "control.json"):
        assert (mesh.state / "mesh" / name).stat().st_mode & 0o777 == 0o600, name


def test_the_edges_certificate_is_what_identity_sees(mesh: MeshStack, user: httpx.Client) -> None:
    assert "URI=spiffe://palestra.local/edge" in user.get("/v1/users/me").text
