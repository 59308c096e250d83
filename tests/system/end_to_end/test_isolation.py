"""What stands beside the mesh is out of reach: stores, sockets, ports."""

from __future__ import annotations

import itertools
import socket

import grpc
import httpx
import psutil
import psycopg
import pytest
import redis

from mesh import catalog
from palestra.identity.v1 import key_service_pb2, key_service_pb2_grpc
from tests.support.whole_stack import WholeStack

SERVICES = [each.name for each in catalog.SERVICES]
STRANGERS = list(itertools.permutations(SERVICES, 2))


def tables(stack: WholeStack, schema: str) -> list[str]:
    """The tables of a service."""
    with stack.database() as database:
        rows = database.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]
        ).fetchall()
    return [name for (name,) in rows]


@pytest.mark.parametrize(("role", "other"), STRANGERS)
def test_a_services_role_is_refused_on_every_table_of_another(
    stack: WholeStack, role: str, other: str
) -> None:
    found = tables(stack, other)
    assert len(found) > 2
    with stack.database(role) as database:
        assert database.execute("SELECT current_user").fetchone() == (role,)
        for table in found:
            for words in (
                f"SELECT 1 FROM {other}.{table} LIMIT 1",
                f"DELETE FROM {other}.{table}",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    database.execute(words)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.execute(f"SET ROLE {other}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.execute(f"CREATE TABLE {other}.planted (a int)")


@pytest.mark.parametrize(("user", "other"), STRANGERS)
def test_a_services_redis_user_is_refused_on_anothers_keys(
    stack: WholeStack, user: str, other: str
) -> None:
    with stack.redis(user) as bus:
        assert bus.ping()
        for refused in (
            lambda: bus.get(f"{other}:anything"),
            lambda: bus.set(f"{other}:anything", "1"),
            lambda: bus.xadd(f"events:{other}:0", {"e": "forged"}),
            lambda: bus.publish(f"{other}:live:x", "forged"),
            lambda: bus.config_get("*"),
            bus.flushall,
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                refused()


@pytest.mark.parametrize("service", SERVICES)
async def test_plaintext_is_refused_on_the_inbound_listener(
    stack: WholeStack, service: str
) -> None:
    path = stack.places.run / f"{service}.in.sock"
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        stub = key_service_pb2_grpc.KeyServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetKeySet(key_service_pb2.GetKeySetRequest(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(5)
        plain.connect(str(path))
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            told = plain.recv(100)
        except ConnectionResetError:
            told = b""
    assert b"HTTP" not in told


def test_all_processes_of_the_stack_listen_on_one_tcp_port_only(stack: WholeStack) -> None:
    supervisor = psutil.Process(stack.pids()["supervisor"])
    processes = [supervisor, *supervisor.children(recursive=True)]
    listening = {each for process in processes for each in listens(process)}
    assert listening == {("127.0.0.1", stack.port)}
    assert set(stack.pids().values()) <= {each.pid for each in processes if each.is_running()}


def listens(process: psutil.Process) -> list[tuple[str, int]]:
    """Addresses and ports of its TCP listeners and UDP sockets."""
    try:
        found = process.net_connections(kind="inet")
    except psutil.NoSuchProcess:
        # PostgreSQL's backends come and go; the stack's own processes are all still there.
        return []
    return [
        (each.laddr.ip, each.laddr.port)
        for each in found
        if each.status == psutil.CONN_LISTEN or each.type == socket.SOCK_DGRAM
    ]


def test_sockets_and_secrets_are_the_users_own(stack: WholeStack) -> None:
    assert stack.places.run.stat().st_mode & 0o777 == 0o700
    for secret in (stack.state / "secrets.json", stack.places.mesh / "ca.key", stack.places.proof):
        assert secret.stat().st_mode & 0o777 == 0o600


def test_the_health_of_the_edge_needs_no_token(stack: WholeStack) -> None:
    answer = httpx.get(f"{stack.rest_url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "SERVING"})
