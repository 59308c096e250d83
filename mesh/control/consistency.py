"""Whether a proxy's resources fit each other, asked before anyone gets them.

Owns the check that every name leads somewhere. Envoy itself would wait for what
is missing for ever, and say nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import TransportSocket
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import Route, RouteConfiguration
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    DownstreamTlsContext,
    UpstreamTlsContext,
)

from mesh.control import wire
from mesh.control.snapshot import TYPES, Message, Resources, name_of


class InconsistentError(ValueError):
    """The resources do not fit each other; the words name what leads nowhere."""


class Wanted(NamedTuple):
    """What a resource leads to."""

    kind: str
    name: str
    words: str
    """Why it must be there."""


@dataclass(frozen=True, slots=True)
class Names:
    """Of all resources of one kind: what they are called, and what they lead to."""

    given: Sequence[str]
    wanted: Sequence[Wanted]


def check(proxy: str, resources: Resources) -> None:
    """Raises InconsistentError where a name leads nowhere or is taken twice."""
    agree(proxy, {kind: names(getattr(resources, kind)) for kind in TYPES})


def names(messages: Sequence[Message]) -> Names:
    """What is to be known of resources to tell whether all fits."""
    given = [name_of(each) for each in messages]
    return Names(given, [wanted for each in messages for wanted in _wanted(each)])


def agree(proxy: str, kinds: Mapping[str, Names]) -> None:
    """As `check`, of the names alone."""
    faults = [
        f"two {kind} are named {name!r}"
        for kind, each in kinds.items()
        for name, count in Counter(each.given).items()
        if count > 1
    ]
    given = {kind: set(each.given) for kind, each in kinds.items()}
    faults += [
        wanted.words
        for each in kinds.values()
        for wanted in each.wanted
        if wanted.name not in given[wanted.kind]
    ]
    if faults:
        raise InconsistentError(f"{proxy}: {'; '.join(faults)}")


def _wanted(message: Message) -> Iterator[Wanted]:
    if isinstance(message, RouteConfiguration):
        yield from _of_table(message)
    elif isinstance(message, Cluster):
        yield from _of_cluster(message)
    elif isinstance(message, Listener):
        yield from _of_listener(message)


def _of_table(table: RouteConfiguration) -> Iterator[Wanted]:
    for route in (route for host in table.virtual_hosts for route in host.routes):
        for target in _targets(route):
            words = f"route {route.name!r} leads to no cluster {target!r}"
            yield Wanted("clusters", target, words)


def _of_cluster(cluster: Cluster) -> Iterator[Wanted]:
    if cluster.type == ClusterDiscoveryType.EDS:
        yield Wanted("assignments", cluster.name, f"cluster {cluster.name!r} has no assignment")
    for name in _secrets_of(cluster.transport_socket):
        yield Wanted("secrets", name, f"cluster {cluster.name!r} names no secret {name!r}")


def _of_listener(listener: Listener) -> Iterator[Wanted]:
    begun = f"listener {listener.name!r} names no"
    for manager in _managers(listener):
        table = manager.rds.route_config_name if manager.rds else ""
        yield Wanted("routes", table, f"{begun} routes {table!r}")
        for each in manager.http_filters:
            if each.config_discovery:
                yield Wanted("filters", each.name, f"{begun} filter {each.name!r}")
    for chain in listener.filter_chains:
        for name in _secrets_of(chain.transport_socket):
            yield Wanted("secrets", name, f"{begun} secret {name!r}")


def _targets(route: Route) -> Iterator[str]:
    """The clusters that a route names."""
    if route.route is None or route.route.cluster_header:
        return
    if route.route.weighted_clusters:
        yield from (each.name for each in route.route.weighted_clusters.clusters)
    else:
        yield route.route.cluster or ""


def _managers(listener: Listener) -> Iterator[HttpConnectionManager]:
    for chain in listener.filter_chains:
        for each in chain.filters:
            message = wire.unpack(each.typed_config)
            if isinstance(message, HttpConnectionManager):
                yield message


def _secrets_of(socket: TransportSocket | None) -> Iterator[str]:
    context = wire.unpack(socket.typed_config) if socket else None
    if not isinstance(context, UpstreamTlsContext | DownstreamTlsContext):
        return
    tls = context.common_tls_context
    if tls is None:
        return
    yield from (secret.name for secret in tls.tls_certificate_sds_secret_configs)
    combined = tls.combined_validation_context
    if combined and combined.validation_context_sds_secret_config:
        yield combined.validation_context_sds_secret_config.name
