"""The one list of services.

A service is here with what cannot be read from its contract. Everything that
starts, routes, certifies or checks services goes through this list.
"""

from __future__ import annotations

from dataclasses import dataclass

EDGE = "edge"
"""The mesh name of the edge, the only caller that speaks for people outside."""

CONTROL = "control"
"""The mesh name of the control plane, which reads the token keys from identity."""

OPERATOR = "operator"
"""The mesh name of the person at the `palestra` command."""

TRUST_DOMAIN = "palestra.local"
"""The SPIFFE trust domain of every workload."""

DEVELOPER_HEADER = "x-palestra-dev"
"""Whose own copies of services a request asks for; travels from call to call."""

ADDRESS_HEADER = "x-palestra-client-address"
"""Where a client calls from, as the edge says; what clients say of it is taken away."""

CONSISTENCY_HEADER = "x-palestra-consistency"
"""How far relations must have come for an answer; travels from call to call."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one caller's proxy may have under way with a service at once; more is refused.

    By default far more than a service can work on, and far less than would fill
    a proxy with calls that wait.
    """

    requests: int = 1_000
    """Unary calls."""
    streams: int = 25_000
    connections: int = 1_000
    retries: int = 1_000
    """To another worker, of calls that reached none; what a caller tries again has a budget.
    Envoy's default of 3 was the main cause of failed requests when a worker
    restarted under load."""


@dataclass(frozen=True, slots=True)
class Service:
    """A domain service: its code is `services/<name>`, its contract `palestra.<name>.v1`."""

    name: str
    workers: int = 1
    """Processes on one machine, unless `palestra up --workers` says otherwise."""
    capacity: Capacity = Capacity()

    @property
    def package(self) -> str:
        """The proto package that the service implements."""
        return f"palestra.{self.name}.v1"

    @property
    def module(self) -> str:
        """The Python module that `python -m` runs."""
        return f"services.{self.name}"


SERVICES: tuple[Service, ...] = (
    Service("identity"),
    Service("integration"),
    Service("training"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A process of the edge itself: it has no contract of its own and no callers inside."""

    name: str
    module: str
    """The Python module that `python -m` runs."""
    workers: int = 1
    """Processes on one machine."""
    capacity: Capacity = Capacity()
    grpc: bool = False
    """Whether it speaks gRPC, not HTTP/1.1, to the edge."""
    counts: bool = False
    """Whether it has a part of Redis of its own, and calls no service."""


WEB = "web"
"""The part that serves pages and WebSockets over HTTP/1.1."""

LIMITER = "limiter"
"""The part that counts what all edges count together."""

PARTS: tuple[Part, ...] = (
    Part(WEB, "gateway.web"),
    Part(LIMITER, "gateway.limiter", grpc=True, counts=True),
)

DEPLOYED: tuple[str, ...] = (*(each.name for each in SERVICES), *(each.name for each in PARTS))
"""Whatever runs as processes of ours that get traffic: services and parts of the edge."""

INSIDE: frozenset[str] = frozenset({each.name for each in SERVICES} | {CONTROL, OPERATOR})
"""What `*` stands for among a contract's callers: every workload but the edge, which
speaks for people outside."""


def service(name: str) -> Service:
    """The service of that name.

    Raises:
        KeyError: no such service.
    """
    for candidate in SERVICES:
        if candidate.name == name:
            return candidate
    known = ", ".join(sorted(each.name for each in SERVICES))
    raise KeyError(f"no service {name!r}; there are {known}")


def spiffe_id(workload: str) -> str:
    """The SPIFFE id of a service, the edge, the control plane or the operator."""
    return f"spiffe://{TRUST_DOMAIN}/{workload}"


def workload(spiffe: str) -> str | None:
    """The workload that a SPIFFE id names; None where it is of another trust domain."""
    prefix = f"spiffe://{TRUST_DOMAIN}/"
    return spiffe.removeprefix(prefix) if spiffe.startswith(prefix) else None
