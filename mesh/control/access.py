"""Which workload may call which method: the contract's policy, read for the mesh.

Owns that reading. Decides nothing about users: tokens, roles and ownership are
the services' own to enforce.
"""

from __future__ import annotations

from dataclasses import dataclass

from mesh import catalog, policy
from mesh.policy import Contract, Method

HEALTH = "/grpc.health.v1.Health/"
REFLECTION = "/grpc.reflection."


@dataclass(frozen=True, slots=True)
class Rule:
    """These workloads may call these methods."""

    workloads: tuple[str, ...]
    paths: tuple[str, ...]
    prefixes: tuple[str, ...] = ()


def workloads_for(method: Method) -> tuple[str, ...]:
    """The workloads that may call a method, in order of their names."""
    services = {each.name for each in catalog.SERVICES if method.allows_service(each.name)}
    if "*" in method.policy.callers:
        services |= {catalog.CONTROL, catalog.OPERATOR}
    if method.policy.access != policy.SERVICE or method.allows_service(catalog.EDGE):
        services.add(catalog.EDGE)
    return tuple(sorted(services))


def rules_of(contract: Contract, service: str) -> list[Rule]:
    """The rules of a service, one per set of callers; what none names is refused."""
    paths: dict[tuple[str, ...], list[str]] = {}
    for method in contract.of_service(service):
        paths.setdefault(workloads_for(method), []).append(method.path)
    rules = [Rule(workloads, tuple(each)) for workloads, each in paths.items() if workloads]
    return [*rules, Rule((catalog.OPERATOR,), (), (HEALTH, REFLECTION))]


def callable_by(contract: Contract, workload: str) -> list[Method]:
    """The methods that a workload may call in its own name."""
    return [each for each in contract.methods.values() if workload in workloads_for(each)]


def reachable_from(contract: Contract, caller: str) -> list[Method]:
    """The methods of other services that `caller` may call."""
    return [
        method
        for method in contract.methods.values()
        if method.service != caller and method.allows_service(caller)
    ]
