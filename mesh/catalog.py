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


@dataclass(frozen=True, slots=True)
class Service:
    """A domain service: its code is `services/<name>`, its contract `palestra.<name>.v1`."""

    name: str
    workers: int = 1
    """Processes on one machine, unless `palestra up --workers` says otherwise."""

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
