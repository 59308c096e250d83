"""What a gRPC client that speaks xDS itself is told: no proxy between it and the mesh.

Owns a listener, routes, a cluster and an endpoint for each service that the workload may
call, in the part of Envoy's configuration that gRPC knows (gRFC A27, A28, A29). Which
those are is the contract's. The certificate comes from files; see `mesh.control.clients`.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoy_data_plane.envoy.config.cluster.v3 import (
    Cluster,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
)
from envoy_data_plane.envoy.config.core.v3 import Locality, TransportSocket
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.listener.v3 import ApiListener, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
    Rds,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateProviderPluginInstance,
    CertificateValidationContext,
    CommonTlsContext,
    UpstreamTlsContext,
)

from mesh import catalog
from mesh.control.access import HEALTH, REFLECTION
from mesh.control.wire import exactly, from_control, loopback, pack, pack_known
from mesh.policy import Method

PROVIDER = "mesh"
"""What the client's bootstrap calls the source of its certificate."""
_TLS = "envoy.transport_sockets.tls"
_RETRIES = 2


def listener(service: str) -> Listener:
    """What `xds:///<service>` resolves to."""
    manager = HttpConnectionManager(
        rds=Rds(config_source=from_control(), route_config_name=service),
        http_filters=[HttpFilter(name="router", typed_config=pack(Router()))],
    )
    return Listener(name=service, api_listener=ApiListener(api_listener=pack_known(manager)))


def routes(service: str, methods: Sequence[Method]) -> RouteConfiguration:
    """A route for each method; all else is UNAVAILABLE before it leaves the client."""
    found = [_route(method.path, RouteMatch(path=method.path), service) for method in methods]
    # What a workload that may look into the mesh may ask of everybody.
    found += [_route(each, RouteMatch(prefix=each), service) for each in (HEALTH, REFLECTION)]
    return RouteConfiguration(
        name=service, virtual_hosts=[VirtualHost(name=service, domains=["*"], routes=found)]
    )


def _route(name: str, match: RouteMatch, service: str) -> Route:
    # No longest duration: under one, gRPC 1.85 ends every call at once. The deadline is the
    # inbound side's, and the client's own.
    # A worker that is gone is the inbound side's to replace; this is for the proxy itself.
    again = RetryPolicy(retry_on="unavailable", num_retries=_RETRIES)
    return Route(name=name, match=match, route=RouteAction(cluster=service, retry_policy=again))


def cluster(service: str) -> Cluster:
    """A service over mTLS, as its own workload and no other."""
    instance = CertificateProviderPluginInstance(instance_name=PROVIDER)
    context = UpstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_certificate_provider_instance=instance,
            validation_context=CertificateValidationContext(
                ca_certificate_provider_instance=instance,
                match_subject_alt_names=[exactly(catalog.spiffe_id(service))],
            ),
        )
    )
    return Cluster(
        name=service,
        type=ClusterDiscoveryType.EDS,
        eds_cluster_config=ClusterEdsClusterConfig(eds_config=from_control()),
        transport_socket=TransportSocket(name=_TLS, typed_config=pack_known(context)),
    )


def assignment(service: str, port: int) -> ClusterLoadAssignment:
    """The service's inbound listener: who is behind it, the node proxy knows.

    By a port of loopback: gRPC takes no unix socket from an assignment.
    """
    door = Endpoint(address=loopback(port))
    place = LocalityLbEndpoints(
        # gRPC passes over what has no place and no weight.
        locality=Locality(region="here"),
        lb_endpoints=[LbEndpoint(endpoint=door)],
        load_balancing_weight=1,
    )
    return ClusterLoadAssignment(cluster_name=service, endpoints=[place])
