"""Where calls can go: a service's processes, or another service's inbound listener.

Owns health checks, pools and circuit breakers. Endpoints are `endpoints`'.
"""

from __future__ import annotations

from pathlib import Path

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCommonLbConfig,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
)
from envoy_data_plane.envoy.config.core.v3 import (
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    Http2ProtocolOptions,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.v3 import Percent
from envoy_data_plane.google.protobuf import Any as AnyMessage

from mesh.control.resources import names, secrets
from mesh.control.resources.endpoints import assignment
from mesh.control.wire import from_control, pack, seconds

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CONNECT_S = 1.0
HEALTH_INTERVAL_S = 0.25
HEALTH_TIMEOUT_S = 1.0
# What says NOT_SERVING gets nothing from then on, and what died is taken from
# endpoints.json; a process that was merely slow to answer once is neither.
SILENT_TIMES = 3
# Envoy's default of 3 retries at once was the main cause of failed requests
# when a worker restarted under load.
MAX_RETRIES = 1_000
MAX_REQUESTS = 50_000


def of_workers(service: str) -> Cluster:
    """A service's own processes, those that are healthy, in turn."""
    return Cluster(
        name=names.workers(service),
        type=ClusterDiscoveryType.EDS,
        eds_cluster_config=ClusterEdsClusterConfig(eds_config=from_control()),
        connect_timeout=seconds(CONNECT_S),
        typed_extension_protocol_options=_http2(),
        circuit_breakers=_breakers(),
        health_checks=[_health_check()],
        # Without healthy workers the answer is UNAVAILABLE at once, not a guess.
        # And a worker that turns healthy serves at once: by default Envoy gathers such
        # news for a second, in which callers of a restarted worker are refused.
        common_lb_config=ClusterCommonLbConfig(
            healthy_panic_threshold=Percent(value=0), update_merge_window=seconds(0)
        ),
        # Whoever is taken from endpoints.json gets no more calls, however healthy.
        ignore_health_on_host_removal=True,
    )


def of_peer(run: Path, caller: str, service: str) -> Cluster:
    """Another service, by its inbound listener and `caller`'s certificate."""
    name = names.towards(caller, service)
    return Cluster(
        name=name,
        type=ClusterDiscoveryType.STATIC,
        load_assignment=assignment(name, [names.inbound_socket(run, service)]),
        connect_timeout=seconds(CONNECT_S),
        typed_extension_protocol_options=_http2(),
        circuit_breakers=_breakers(),
        transport_socket=secrets.client_side(caller, service),
    )


def _http2() -> dict[str, AnyMessage]:
    explicit = HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions())
    return {_HTTP_OPTIONS: pack(HttpProtocolOptions(explicit_http_config=explicit))}


def _breakers() -> CircuitBreakers:
    return CircuitBreakers(
        thresholds=[
            CircuitBreakersThresholds(
                max_connections=MAX_REQUESTS,
                max_pending_requests=MAX_REQUESTS,
                max_requests=MAX_REQUESTS,
                max_retries=MAX_RETRIES,
            )
        ]
    )


def _health_check() -> HealthCheck:
    often = seconds(HEALTH_INTERVAL_S)
    return HealthCheck(
        timeout=seconds(HEALTH_TIMEOUT_S),
        interval=often,
        # A cluster that was never used is otherwise asked once a minute.
        no_traffic_interval=often,
        unhealthy_threshold=SILENT_TIMES,
        healthy_threshold=1,
        grpc_health_check=HealthCheckGrpcHealthCheck(),
    )
