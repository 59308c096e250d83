"""Whether a proxy's resources fit each other, asked before anyone gets them.

Owns the check that every name leads somewhere. Envoy itself would wait for what
is missing for ever, and say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from envoy_data_plane.envoy.config.cluster.v3 import ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import TransportSocket
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import Route
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    DownstreamTlsContext,
    UpstreamTlsContext,
)

from mesh.control.snapshot import Resources


class InconsistentError(ValueError):
    """The resources do not fit each other; the words name what leads nowhere."""


def check(proxy: str, resources: Resources) -> None:
    """Raises InconsistentError where a name leads nowhere or is taken twice."""
    faults = [*_doubles(resources), *_dangling(resources)]
    if faults:
        raise InconsistentError(f"{proxy}: {'; '.join(faults)}")


def _doubles(resources: Resources) -> Iterator[str]:
    for kind in ("listeners", "routes", "clusters", "secrets", "filters"):
        seen: set[str] = set()
        for each in getattr(resources, kind):
            if each.name in seen:
                yield f"two {kind} are named {each.name!r}"
            seen.add(each.name)


def _dangling(resources: Resources) -> Iterator[str]:
    secrets = {secret.name for secret in resources.secrets}
    yield from _dangling_routes(resources)
    yield from _dangling_clusters(resources, secrets)
    for listener in resources.listeners:
        yield from _dangling_listener(listener, resources, secrets)


def _dangling_routes(resources: Resources) -> Iterator[str]:
    clusters = {cluster.name for cluster in resources.clusters}
    routes = (
        route for table in resources.routes for host in table.virtual_hosts for route in host.routes
    )
    for route in routes:
        target = _target(route)
        if target is not None and target not in clusters:
            yield f"route {route.name!r} leads to no cluster {target!r}"


def _dangling_clusters(resources: Resources, secrets: set[str]) -> Iterator[str]:
    assigned = {each.cluster_name for each in resources.assignments}
    for cluster in resources.clusters:
        if cluster.type == ClusterDiscoveryType.EDS and cluster.name not in assigned:
            yield f"cluster {cluster.name!r} has no assignment"
        for name in _secrets_of(cluster.transport_socket):
            if name not in secrets:
                yield f"cluster {cluster.name!r} names no secret {name!r}"


def _dangling_listener(
    listener: Listener, resources: Resources, secrets: set[str]
) -> Iterator[str]:
    tables = {table.name for table in resources.routes}
    filters = {each.name for each in resources.filters}
    for manager in _managers(listener):
        table_name = manager.rds.route_config_name if manager.rds else ""
        if table_name not in tables:
            yield f"listener {listener.name!r} names no routes {table_name!r}"
        for each in manager.http_filters:
            if each.config_discovery and each.name not in filters:
                yield f"listener {listener.name!r} names no filter {each.name!r}"
    for chain in listener.filter_chains:
        for name in _secrets_of(chain.transport_socket):
            if name not in secrets:
                yield f"listener {listener.name!r} names no secret {name!r}"


def _target(route: Route) -> str | None:
    """The cluster that a route names; None where it names none."""
    if route.route is None or route.route.cluster_header:
        return None
    return route.route.cluster or ""


def _managers(listener: Listener) -> Iterator[HttpConnectionManager]:
    for chain in listener.filter_chains:
        for each in chain.filters:
            message = each.typed_config.unpack() if each.typed_config else None
            if isinstance(message, HttpConnectionManager):
                yield message


def _secrets_of(socket: TransportSocket | None) -> Iterator[str]:
    context = socket.typed_config.unpack() if socket and socket.typed_config else None
    if not isinstance(context, UpstreamTlsContext | DownstreamTlsContext):
        return
    tls = context.common_tls_context
    if tls is None:
        return
    yield from (secret.name for secret in tls.tls_certificate_sds_secret_configs)
    combined = tls.combined_validation_context
    if combined and combined.validation_context_sds_secret_config:
        yield combined.validation_context_sds_secret_config.name
