"""Which processes get traffic now: `endpoints.json` -> Envoy's assignments.

Owns the shape of the file. Never decides who should get traffic: its writer does. Whom
a proxy prefers is `localities`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from envoy_data_plane.envoy.config.core.v3 import Locality
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)

from mesh import catalog
from mesh.control.resources import localities, names
from mesh.control.wire import pipe

MAX_WORKERS = 256
MAX_SUBSETS = 64
SUBSET = re.compile(r"[a-z][a-z0-9]{0,15}")
_ZONE = re.compile(r"[A-Za-z0-9._-]{0,63}")


class EndpointsError(ValueError):
    """`endpoints.json` cannot be followed; the words say which part."""


@dataclass(frozen=True, slots=True)
class Host:
    """A process that gets traffic, and where it stands."""

    socket: str
    region: str = ""
    zone: str = ""


Endpoints = Mapping[str, tuple[Host, ...]]
"""By service, part of the edge, or subset of a service's workers (`training:canary`)."""


def parse(text: str | bytes) -> dict[str, tuple[Host, ...]]:
    """`{"identity": ["/…/identity-0.sock"], "training:canary": [{"socket", "region", "zone"}]}`.

    Who is absent has none; a subset that is absent is none.

    Raises:
        EndpointsError: not JSON of this shape, an unknown service, too many workers.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise EndpointsError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise EndpointsError("not an object of service names")
    subsets = [name for name in document if _is_subset(name)]
    if len(subsets) > MAX_SUBSETS:
        raise EndpointsError(f"{len(subsets)} subsets, {MAX_SUBSETS} are possible")
    known = {*catalog.DEPLOYED, *subsets}
    if unknown := sorted(document.keys() - known):
        raise EndpointsError(f"unknown services: {', '.join(unknown)}")
    return {name: _hosts(name, document.get(name, [])) for name in sorted(known)}


def _is_subset(name: str) -> bool:
    service, colon, subset = name.partition(":")
    known = {each.name for each in catalog.SERVICES}
    return bool(colon) and service in known and SUBSET.fullmatch(subset) is not None


def _hosts(name: str, value: object) -> tuple[Host, ...]:
    if not isinstance(value, list) or len(value) > MAX_WORKERS:
        raise EndpointsError(f"{name} has no list of at most {MAX_WORKERS} sockets")
    return tuple(dict.fromkeys(_host(name, each) for each in value))


def _host(name: str, value: object) -> Host:
    said = value if isinstance(value, dict) else {"socket": value}
    if unknown := sorted(said.keys() - {"socket", "region", "zone"}):
        raise EndpointsError(f"{name} has an unknown entry {unknown[0]!r}")
    socket = said.get("socket")
    if not isinstance(socket, str) or not socket.startswith("/") or len(socket) > 107:
        raise EndpointsError(f"{name}: {socket!r} is no absolute path of 107 bytes at most")
    where = (said.get("region", ""), said.get("zone", ""))
    return Host(socket, *(_place(name, each) for each in where))


def _place(name: str, value: object) -> str:
    if not isinstance(value, str) or not _ZONE.fullmatch(value):
        raise EndpointsError(f"{name}: {value!r} names no region or zone")
    return value


def standing_at(text: str) -> Host:
    """Where a proxy stands, of `region/zone` or `region`.

    Raises:
        EndpointsError: it names no place.
    """
    region, _, zone = text.partition("/")
    if not region:
        raise EndpointsError(f"{text!r} is not REGION/ZONE")
    return Host("", _place("the proxy", region), _place("the proxy", zone))


def assignments(endpoints: Endpoints, own: Host | None = None) -> list[ClusterLoadAssignment]:
    """An assignment per service of the catalogue, empty where it has no worker, and per subset.

    `own` says where the proxy stands: it prefers who stands there too.
    """
    return [of_group(group, endpoints.get(group, ()), own=own) for group in groups(endpoints)]


def groups(endpoints: Endpoints) -> list[str]:
    """The services of the catalogue, whether they have workers or not, and the subsets."""
    return [*(each.name for each in catalog.SERVICES), *filter(_is_subset, sorted(endpoints))]


def parts(endpoints: Endpoints, own: Host | None = None) -> list[ClusterLoadAssignment]:
    """An assignment per part of the edge."""
    return [of_group(part.name, endpoints.get(part.name, ()), own=own) for part in catalog.PARTS]


def of_group(
    group: str, *choices: Sequence[Host], own: Host | None = None
) -> ClusterLoadAssignment:
    """A group's hosts; of several choices the later serve only where the earlier cannot."""
    return assignment(names.workers(group), localities.ranked(choices, own))


def assignment(cluster: str, ranked: Sequence[Sequence[Host]]) -> ClusterLoadAssignment:
    """The unix sockets of one cluster, the most wanted first."""
    return ClusterLoadAssignment(
        cluster_name=cluster,
        endpoints=[
            each for priority, hosts in enumerate(ranked) for each in _by_place(priority, hosts)
        ],
    )


def _by_place(priority: int, hosts: Sequence[Host]) -> Iterator[LocalityLbEndpoints]:
    for region, zone in sorted({(each.region, each.zone) for each in hosts}):
        there = [each for each in hosts if (each.region, each.zone) == (region, zone)]
        yield LocalityLbEndpoints(
            locality=Locality(region=region, zone=zone),
            priority=priority,
            lb_endpoints=[
                LbEndpoint(endpoint=Endpoint(address=pipe(each.socket))) for each in there
            ],
        )
