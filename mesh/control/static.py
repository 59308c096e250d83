"""The proxies' configuration as one static document, for a real Envoy to look at.

Owns the putting in line of what is pushed otherwise. Made for checking alone;
nothing is served from it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap, BootstrapStaticResources
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy_data_plane.google.protobuf import Any as AnyMessage

from gateway.overrides import Overrides
from mesh import catalog, policy
from mesh.control import keys, render, wire
from mesh.control.authority import create_authority, utc_now
from mesh.control.inputs import Inputs
from mesh.control.snapshot import Resources


def edge_config(descriptor_set: bytes) -> bytes:
    """The edge's bootstrap for a contract, serialised, with everything in line.

    Raises:
        ValueError: the contract cannot be served; the words name the method.
    """
    return config(render.edge(_inputs(descriptor_set)))


def config(*proxies: Resources) -> bytes:
    """A bootstrap of what the proxies are told, serialised, as if they were one."""
    static = BootstrapStaticResources(
        listeners=[_in_line(each, told) for told in proxies for each in told.listeners],
        clusters=[_by_itself(each) for told in proxies for each in told.clusters],
    )
    return bytes(Bootstrap(node=Node(id="edge", cluster="palestra"), static_resources=static))


def _by_itself(cluster: Cluster) -> Cluster:
    """Where certificates come from is no matter of the contract's, nor who serves now."""
    cluster = copy.copy(cluster)
    cluster.transport_socket = None
    if cluster.eds_cluster_config:
        cluster.type, cluster.eds_cluster_config = ClusterDiscoveryType.STATIC, None
    return cluster


def _in_line(listener: Listener, resources: Resources) -> Listener:
    listener.filter_chains[0].transport_socket = None
    network = listener.filter_chains[0].filters[0]
    manager = copy.copy(wire.unpack(network.typed_config))
    if not isinstance(manager, HttpConnectionManager):
        raise TypeError(f"listener {listener.name} serves no HTTP")
    pushed = {each.name: each.typed_config for each in resources.filters}
    tables = {table.name: table for table in resources.routes}
    manager.route_config = tables[manager.rds.route_config_name] if manager.rds else None
    manager.rds = None
    manager.http_filters = [_with_its_own(each, pushed) for each in manager.http_filters]
    network.typed_config = wire.pack(manager)
    return listener


def _with_its_own(told: HttpFilter, pushed: Mapping[str, AnyMessage | None]) -> HttpFilter:
    if not told.config_discovery:
        return told
    told = copy.copy(told)
    told.config_discovery, told.typed_config = None, pushed[told.name]
    return told


def _inputs(descriptor_set: bytes) -> Inputs:
    authority, now = create_authority(utc_now()), utc_now()
    return Inputs(
        run=Path("/nowhere"),
        edge_host="127.0.0.1",
        edge_port=8080,
        proof="",
        contract=policy.contract_of(policy.files_of(descriptor_set)),
        descriptor_set=descriptor_set,
        ca_pem=authority.ca_pem,
        identities={catalog.EDGE: authority.issue(catalog.EDGE, now)},
        endpoints={},
        overrides=Overrides(),
        jwks=keys.nobody().jwks(),
    )
