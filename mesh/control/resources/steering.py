"""Other ways to a service than its own workers: a canary's share, a developer's own copy.

Decides what becomes of calls to somebody who is not there. A canary's share falls back to
the service's own workers: people must not suffer from a trial. A developer's copy has no
stand-in: an answer of somebody else's code would be believed.
All of it lies at the service's own door, so that it holds for whoever calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.route.v3 import (
    HeaderMatcher,
    Route,
    RouteAction,
    WeightedCluster,
    WeightedClusterClusterWeight,
)

from mesh import catalog
from mesh.control.resources import endpoints, names
from mesh.control.resources.endpoints import Endpoints, Host
from mesh.control.traffic import Steering
from mesh.control.wire import exactly

_UNIX = "unix:"
_PARTS = 100


def ways(service: str, steering: Steering, make: Callable[[], Route]) -> Iterator[Route]:
    """A method's routes: one for each developer, then everybody's. `make` makes the usual one."""
    for value, target in steering.headers.items():
        own = make()
        own.name += f" for {value}"
        if own.match and own.route:
            own.match.headers.append(_asked_by(value))
            own.route.cluster = names.workers(_group(service, value, target))
        yield own
    usual = make()
    if usual.route and steering.weights:
        _share(usual.route, service, steering)
    yield usual


def _asked_by(value: str) -> HeaderMatcher:
    return HeaderMatcher(name=catalog.DEVELOPER_HEADER, string_match=exactly(value))


def _share(action: RouteAction, service: str, steering: Steering) -> None:
    shares = {
        names.workers(_or_any(service, subset)): round(percent * _PARTS)
        for subset, percent in steering.weights.items()
    }
    rest = 100 * _PARTS - sum(shares.values())
    shares[names.workers(service)] = rest
    action.cluster = None
    action.weighted_clusters = WeightedCluster(
        clusters=[
            WeightedClusterClusterWeight(name=name, weight=weight)
            for name, weight in shares.items()
            if weight
        ]
    )


def groups(service: str, steering: Steering) -> list[str]:
    """The groups of processes that the ways lead to, each a cluster of its own."""
    to_copies = (_group(service, value, to) for value, to in steering.headers.items())
    return list(dict.fromkeys((*to_copies, *(_or_any(service, each) for each in steering.weights))))


def assignments(
    service: str, steering: Steering, known: Endpoints, own: Host | None
) -> list[ClusterLoadAssignment]:
    """Who is in these groups."""
    found = {
        group: [_hosts(service, target, known)]
        for value, target in steering.headers.items()
        for group in [_group(service, value, target)]
    }
    for subset in steering.weights:
        stead = known.get(service, ())
        found[_or_any(service, subset)] = [_hosts(service, subset, known), stead]
    return [endpoints.of_group(group, *choices, own=own) for group, choices in found.items()]


def _hosts(service: str, target: str, known: Endpoints) -> tuple[Host, ...]:
    if target.startswith(_UNIX):
        return (Host(target.removeprefix(_UNIX)),)
    return known.get(f"{service}:{target}", ())


def _group(service: str, value: str, target: str) -> str:
    return f"{service}:dev-{value}" if target.startswith(_UNIX) else f"{service}:{target}"


def _or_any(service: str, subset: str) -> str:
    return f"{service}:{subset}-or-any"
