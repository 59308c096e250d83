"""Clients inside the mesh with no proxy: `xds:///` against the same control plane."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mesh import catalog
from mesh.local.places import ROOT, read_json
from tests.support.local_stack import until
from tests.support.whole_stack import WholeStack, whole_stack

KEYS = "/palestra.identity.v1.KeyService/GetKeySet"
HEALTH = "/grpc.health.v1.Health/Check"
CLIENT = "client/operator"
WITHIN_S = 20.0


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody has now."""
    for first in range(20_000, 30_000, count):
        with ExitStack() as probes:
            try:
                for port in range(first, first + count):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise LookupError("no free ports")


@pytest.fixture(scope="module")
def meshed() -> Iterator[WholeStack]:
    with whole_stack({}, direct_port=free_ports(len(catalog.SERVICES))) as running:
        yield running


class Client:
    """The client's process."""

    def __init__(self, stack: WholeStack) -> None:
        bootstrap = stack.places.mesh / "clients" / "operator" / "xds.json"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.direct_client", str(bootstrap)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, service: str, path: str) -> str:
        """How a call ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{service} {path}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture(scope="module")
def client(meshed: WholeStack) -> Iterator[Client]:
    made = Client(meshed)
    with made.process:
        yield made
        made.process.kill()


def test_it_calls_services_as_its_own_workload_and_refuses_nothing_it_is_told(
    meshed: WholeStack, client: Client
) -> None:
    assert client.call("identity", KEYS) == "OK"
    for service in catalog.SERVICES:
        assert client.call(service.name, HEALTH) == "OK"
    told = read_json(meshed.places.control) or {}
    assert CLIENT in told["connected"]
    assert CLIENT in told["versions"]
    assert told["rejected"] == []
    assert told["ready"]


def test_what_its_workload_may_not_call_does_not_leave_it(client: Client) -> None:
    refused = client.call("identity", "/palestra.identity.v1.ProfileService/GetProfile")
    assert refused.startswith("UNAVAILABLE")


def test_a_worker_that_comes_back_is_found_again(meshed: WholeStack, client: Client) -> None:
    restarts = meshed.kill("identity-0")
    meshed.recovered("identity-0", restarts, WITHIN_S)
    until(lambda: client.call("identity", KEYS) == "OK", WITHIN_S, "identity answers again")


def test_without_the_control_plane_it_goes_on_and_comes_back_to_it(
    meshed: WholeStack, client: Client
) -> None:
    pid = meshed.pids()["control"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert [client.call("identity", KEYS) for _ in range(5)] == ["OK"] * 5
    finally:
        os.kill(pid, signal.SIGCONT)
    restarts = meshed.kill("control")
    assert client.call("identity", KEYS) == "OK"
    meshed.recovered("control", restarts, WITHIN_S)
    until(
        lambda: CLIENT in (read_json(meshed.places.control) or {})["connected"],
        WITHIN_S,
        "the client is connected again",
    )


def test_nobody_else_listens_where_no_direct_ports_are_wanted(stack: WholeStack) -> None:
    told = read_json(stack.places.control) or {}
    assert sorted(told["versions"]) == ["edge", "node"]
    assert not (stack.places.mesh / "clients").exists()
