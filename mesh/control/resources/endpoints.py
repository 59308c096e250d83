"""Which processes get traffic now: `endpoints.json` -> Envoy's assignments.

Owns the shape of the file. Never decides who should get traffic: its writer does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)

from mesh import catalog
from mesh.control.resources import names
from mesh.control.wire import pipe

MAX_WORKERS = 256


class EndpointsError(ValueError):
    """`endpoints.json` cannot be followed; the words say which part."""


def parse(text: str | bytes) -> dict[str, tuple[str, ...]]:
    """`{"identity": ["/…/identity-0.sock"]}`: socket paths by service; none for the absent.

    Raises:
        EndpointsError: not JSON of this shape, an unknown service, too many workers.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise EndpointsError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise EndpointsError("not an object of service names")
    known = {service.name for service in catalog.SERVICES}
    if unknown := sorted(document.keys() - known):
        raise EndpointsError(f"unknown services: {', '.join(unknown)}")
    return {service: _sockets(service, document.get(service, [])) for service in sorted(known)}


def _sockets(service: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_WORKERS:
        raise EndpointsError(f"{service} has no list of at most {MAX_WORKERS} sockets")
    for socket in value:
        if not isinstance(socket, str) or not socket.startswith("/") or len(socket) > 107:
            raise EndpointsError(f"{service}: {socket!r} is no absolute path of 107 bytes at most")
    return tuple(dict.fromkeys(value))


def assignments(endpoints: Mapping[str, Sequence[str]]) -> list[ClusterLoadAssignment]:
    """An assignment per service of the catalogue, empty where it has no worker."""
    return [
        assignment(names.workers(service.name), endpoints.get(service.name, ()))
        for service in catalog.SERVICES
    ]


def assignment(cluster: str, sockets: Sequence[str]) -> ClusterLoadAssignment:
    """The unix sockets of one cluster."""
    hosts = [LbEndpoint(endpoint=Endpoint(address=pipe(socket))) for socket in sockets]
    localities = [LocalityLbEndpoints(lb_endpoints=hosts)] if hosts else []
    return ClusterLoadAssignment(cluster_name=cluster, endpoints=localities)
