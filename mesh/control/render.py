"""Inputs -> the resources of the edge and of the node proxy.

Owns which proxy gets what. Pure; the messages are made by `resources`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.filters.http.grpc_json_transcoder.v3 import (
    GrpcJsonTranscoder,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret

from gateway import descriptors, pages, replies, routes
from mesh import catalog, policy
from mesh.control import access
from mesh.control.inputs import Inputs
from mesh.control.resources import (
    clusters,
    direct,
    edge_routes,
    endpoints,
    filters,
    listeners,
    names,
    page_routes,
    secrets,
    steering,
    strict_tokens,
)
from mesh.control.resources import replies as reply_resources
from mesh.control.resources import routes as node_routes
from mesh.control.site import SITE
from mesh.control.snapshot import Message, Resources
from mesh.control.traffic import ABORTS
from mesh.policy import Method

EDGE, NODE = "edge", "node"
_SERVICES = tuple(each.name for each in catalog.SERVICES)

Makers = Mapping[str, Callable[[Inputs], Sequence[Message]]]
"""What makes each kind of a proxy's resources, by the fields of `Resources`."""


def edge(inputs: Inputs) -> Resources:
    """What the edge is told.

    Raises:
        gateway.routes.RouteError: the contract has a mapping that cannot be served.
        gateway.pages.PageError: a page cannot.
    """
    return _all(OF_EDGE, inputs)


def node(inputs: Inputs) -> Resources:
    """What the node proxy is told: an inbound and an outbound listener per service."""
    return _all(OF_NODE, inputs)


def _all(makers: Makers, inputs: Inputs) -> Resources:
    return Resources(**{kind: make(inputs) for kind, make in makers.items()})  # type: ignore[arg-type]


def _edge_listeners(inputs: Inputs) -> list[Listener]:
    said = replies.replies(inputs.contract)
    return [
        listeners.edge(
            inputs.edge_host,
            inputs.edge_port,
            reply_resources.for_edge(said),
            inputs.proof,
            inputs.tls,
            trusted_hops=inputs.trusted_hops,
            limiter_timeout_s=inputs.limiter_timeout_s,
        ),
        # For the edge's own processes: the key to its name stays with the edge.
        listeners.outbound(
            catalog.EDGE,
            names.outbound_socket(inputs.run, catalog.EDGE),
            reply_resources.for_node(said),
        ),
    ]


def _edge_routes(inputs: Inputs) -> list[RouteConfiguration]:
    contract, overrides = inputs.contract, inputs.overrides
    descriptor_set = descriptors.for_edge(inputs.descriptor_set)
    too_many = contract.meanings[policy.MESH_DOMAIN, "OVERLOADED"]
    return [
        edge_routes.edge(
            routes.derive(contract, overrides),
            _events(inputs, descriptor_set),
            page_routes.routes(_paged(inputs), inputs.proof, too_many, inputs.origins),
            too_many,
            inputs.origins,
        ),
        node_routes.outbound(
            catalog.EDGE, pages.bridged(contract, pages.present(contract)), overrides
        ),
    ]


def _paged(inputs: Inputs) -> tuple[pages.Page, ...]:
    return pages.derive(inputs.contract, inputs.overrides, pages.present(inputs.contract))


def _edge_clusters(inputs: Inputs) -> list[Cluster]:
    capacity, age_s = inputs.overrides.capacity, inputs.connection_age_s
    return [
        *(
            clusters.of_peer(inputs.run, catalog.EDGE, each.name, capacity(each.name), age_s)
            for each in catalog.SERVICES
        ),
        *(clusters.of_part(part) for part in catalog.PARTS),
    ]


def _edge_filters(inputs: Inputs) -> list[TypedExtensionConfig]:
    contract = inputs.contract
    return [
        strict_tokens.form(inputs.jwks),
        filters.tokens(inputs.jwks),
        filters.limits([*routes.derive(contract, inputs.overrides), *_paged(inputs)]),
        filters.transcoder(
            descriptors.for_edge(inputs.descriptor_set), descriptors.transcoded_services(contract)
        ),
    ]


def _events(inputs: Inputs, descriptor_set: bytes) -> dict[str, GrpcJsonTranscoder]:
    """Server-sent events, for each stream with no more of the contract than it needs."""
    return {
        method.path: filters.transcoding(
            descriptors.for_stream(descriptor_set, method),
            [method.descriptor.containing_service.full_name],
            events=True,
        )
        for method in descriptors.streamed(inputs.contract)
    }


def _node_listeners(inputs: Inputs) -> list[Listener]:
    contract, age_s = inputs.contract, inputs.connection_age_s
    injected = replies.injected(contract, ABORTS)
    words = reply_resources.for_node([*injected, *replies.replies(contract)])
    doors = []
    for name in _SERVICES:
        port = names.direct_port(inputs.direct_port, name)
        socket = names.inbound_socket(inputs.run, name)
        doors.append(listeners.inbound(name, socket, words, 2 * age_s, port))
        doors.append(listeners.outbound(name, names.outbound_socket(inputs.run, name), words))
    return doors


def _node_routes(inputs: Inputs) -> list[RouteConfiguration]:
    contract, overrides = inputs.contract, inputs.overrides
    tables = []
    for name in _SERVICES:
        methods = list(contract.of_service(name))
        tables.append(node_routes.inbound(name, methods, overrides, inputs.proof, inputs.traffic))
        tables.append(node_routes.outbound(name, access.reachable_from(contract, name), overrides))
    return tables


def _node_clusters(inputs: Inputs) -> list[Cluster]:
    capacity, age_s = inputs.overrides.capacity, inputs.connection_age_s
    pairs = sorted(
        {
            (name, to.service)
            for name in _SERVICES
            for to in access.reachable_from(inputs.contract, name)
        }
    )
    return [
        *(clusters.of_workers(group, capacity(group.partition(":")[0])) for group in inputs.groups),
        *(
            clusters.of_peer(inputs.run, caller, name, capacity(name), age_s)
            for caller, name in pairs
        ),
    ]


def _node_assignments(inputs: Inputs) -> list[ClusterLoadAssignment]:
    known, own = inputs.endpoints, inputs.own
    ways = [
        assignment
        for service, each in inputs.traffic.steering.items()
        for assignment in steering.assignments(service, each, known, own)
    ]
    standing = endpoints.assignments(known, own)
    return list({each.cluster_name: each for each in (*ways, *standing)}.values())


def _node_filters(inputs: Inputs) -> list[TypedExtensionConfig]:
    return [filters.callers(name, access.rules_of(inputs.contract, name)) for name in _SERVICES]


def _edge_secrets(inputs: Inputs) -> list[Secret]:
    return _secrets(inputs, [catalog.EDGE, *([SITE] if inputs.tls else [])])


def _edge_assignments(inputs: Inputs) -> list[ClusterLoadAssignment]:
    return endpoints.parts(inputs.endpoints, inputs.own)


def _node_secrets(inputs: Inputs) -> list[Secret]:
    return _secrets(inputs, _SERVICES)


def _secrets(inputs: Inputs, workloads: Iterable[str]) -> list[Secret]:
    own = {workload: inputs.identities[workload] for workload in workloads}
    return [*secrets.certificates(own), secrets.trust(inputs.ca_pem)]


OF_EDGE: Makers = {
    "listeners": _edge_listeners,
    "routes": _edge_routes,
    "clusters": _edge_clusters,
    "assignments": _edge_assignments,
    "secrets": _edge_secrets,
    "filters": _edge_filters,
}
OF_NODE: Makers = {
    "listeners": _node_listeners,
    "routes": _node_routes,
    "clusters": _node_clusters,
    "assignments": _node_assignments,
    "secrets": _node_secrets,
    "filters": _node_filters,
}


def of_client(workload: str) -> Makers:
    """What makes the resources of a gRPC client that calls as `workload`."""

    def tables(inputs: Inputs) -> list[RouteConfiguration]:
        reachable: dict[str, list[Method]] = {each: [] for each in _SERVICES}
        for method in access.callable_by(inputs.contract, workload):
            reachable[method.service].append(method)
        return [direct.routes(name, each) for name, each in reachable.items()]

    def assignments(inputs: Inputs) -> list[ClusterLoadAssignment]:
        return [
            direct.assignment(service, names.direct_port(inputs.direct_port, service))
            for service in _SERVICES
        ]

    return {
        "listeners": lambda _: [direct.listener(service) for service in _SERVICES],
        "routes": tables,
        "clusters": lambda _: [direct.cluster(service) for service in _SERVICES],
        "assignments": assignments,
        "secrets": lambda _: [],
        "filters": lambda _: [],
    }
