"""Inputs -> the resources of the edge and of the node proxy.

Owns which proxy gets what. Pure; the messages are made by `resources`.
"""

from __future__ import annotations

from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret

from gateway import descriptors, replies, routes
from mesh import catalog
from mesh.control import access
from mesh.control.inputs import Inputs
from mesh.control.resources import (
    clusters,
    edge_routes,
    endpoints,
    filters,
    listeners,
    names,
    secrets,
)
from mesh.control.resources import replies as reply_resources
from mesh.control.resources import routes as node_routes
from mesh.control.snapshot import Resources

EDGE, NODE = "edge", "node"


def edge(inputs: Inputs) -> Resources:
    """What the edge is told.

    Raises:
        gateway.routes.RouteError: the contract has a mapping that cannot be served.
    """
    derived = routes.derive(inputs.contract, inputs.overrides)
    words = reply_resources.for_edge(replies.replies(inputs.contract))
    return Resources(
        listeners=[listeners.edge(inputs.edge_host, inputs.edge_port, words)],
        routes=[edge_routes.edge(derived)],
        clusters=[
            clusters.of_peer(inputs.run, catalog.EDGE, service.name) for service in catalog.SERVICES
        ],
        assignments=[],
        secrets=_secrets(inputs, [catalog.EDGE]),
        filters=[
            filters.tokens(inputs.jwks),
            filters.limits(derived),
            filters.transcoder(
                descriptors.for_edge(inputs.descriptor_set),
                descriptors.transcoded_services(inputs.contract),
            ),
        ],
    )


def node(inputs: Inputs) -> Resources:
    """What the node proxy is told: an inbound and an outbound listener per service."""
    words = reply_resources.for_node(replies.replies(inputs.contract))
    services = [service.name for service in catalog.SERVICES]
    contract, run = inputs.contract, inputs.run
    reachable = {name: access.reachable_from(contract, name) for name in services}
    tables = []
    for name in services:
        methods = list(contract.of_service(name))
        tables.append(node_routes.inbound(name, methods, inputs.overrides, inputs.proof))
        tables.append(node_routes.outbound(name, reachable[name], inputs.overrides))
    doors = []
    for name in services:
        doors.append(listeners.inbound(name, names.inbound_socket(run, name), words))
        doors.append(listeners.outbound(name, names.outbound_socket(run, name), words))
    pairs = sorted({(name, to.service) for name in services for to in reachable[name]})
    return Resources(
        listeners=doors,
        routes=tables,
        clusters=[
            *(clusters.of_workers(name) for name in services),
            *(clusters.of_peer(run, caller, name) for caller, name in pairs),
        ],
        assignments=endpoints.assignments(inputs.endpoints),
        secrets=_secrets(inputs, services),
        filters=[filters.callers(name, access.rules_of(contract, name)) for name in services],
    )


def _secrets(inputs: Inputs, workloads: list[str]) -> list[Secret]:
    own = {workload: inputs.identities[workload] for workload in workloads}
    return [*secrets.certificates(own), secrets.trust(inputs.ca_pem)]
