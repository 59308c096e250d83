"""Where calls can go: a service's processes, or another service's inbound listener.

Owns health checks and pools. Endpoints are `endpoints`', circuit breakers `breakers`'.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from envoy_data_plane.envoy.config.cluster.v3 import (
    Cluster,
    ClusterCommonLbConfig,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
)
from envoy_data_plane.envoy.config.core.v3 import (
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    HealthCheckHttpHealthCheck,
    Http1ProtocolOptions,
)
from envoy_data_plane.envoy.config.core.v3 import (
    HttpProtocolOptions as CommonHttpProtocolOptions,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.v3 import Percent
from envoy_data_plane.google.protobuf import Any as AnyMessage

from mesh.catalog import Capacity, Part
from mesh.control.resources import breakers, names, outliers, secrets, windows
from mesh.control.resources.endpoints import Host, assignment
from mesh.control.wire import from_control, pack, seconds

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CONNECT_S = 1.0
HEALTH_INTERVAL_S = 0.25
HEALTH_TIMEOUT_S = 1.0
# What says NOT_SERVING gets nothing from then on, and what died is taken from
# endpoints.json; a process that was merely slow to answer once is neither.
SILENT_TIMES = 3
# A part of the edge that ends is taken from endpoints.json at once; this is for one that hangs.
PART_HEALTH_INTERVAL_S = 1.0
# Sooner than the part itself gives up an idle connection.
PART_IDLE_S = 30.0


def of_workers(service: str, capacity: Capacity) -> Cluster:
    """A service's own processes, those that are healthy, in turn."""
    asked = HealthCheck(grpc_health_check=HealthCheckGrpcHealthCheck())
    found = _of_processes(service, _http2(), _often(asked, HEALTH_INTERVAL_S))
    found.circuit_breakers = breakers.within(capacity)
    found.outlier_detection = outliers.detection()
    return found


def of_part(part: Part) -> Cluster:
    """A part of the edge: its own processes, over HTTP/1.1 or gRPC."""
    if part.grpc:
        asked = HealthCheck(grpc_health_check=HealthCheckGrpcHealthCheck())
    else:
        asked = HealthCheck(http_health_check=HealthCheckHttpHealthCheck(path="/healthz"))
    protocol = _http2() if part.grpc else _http1()
    found = _of_processes(part.name, protocol, _often(asked, PART_HEALTH_INTERVAL_S))
    found.circuit_breakers = breakers.towards(part.capacity)
    return found


def _of_processes(name: str, protocol: dict[str, AnyMessage], asked: HealthCheck) -> Cluster:
    return Cluster(
        name=names.workers(name),
        type=ClusterDiscoveryType.EDS,
        eds_cluster_config=ClusterEdsClusterConfig(eds_config=from_control()),
        connect_timeout=seconds(CONNECT_S),
        typed_extension_protocol_options=protocol,
        health_checks=[asked],
        # Without healthy workers the answer is UNAVAILABLE at once, not a guess.
        # And a worker that turns healthy serves at once: by default Envoy gathers such
        # news for a second, in which callers of a restarted worker are refused.
        common_lb_config=ClusterCommonLbConfig(
            healthy_panic_threshold=Percent(value=0), update_merge_window=seconds(0)
        ),
        # Whoever is taken from endpoints.json gets no more calls, however healthy.
        ignore_health_on_host_removal=True,
    )


def of_peer(
    run: Path, caller: str, service: str, capacity: Capacity, connection_age_s: float
) -> Cluster:
    """Another service, by its inbound listener and `caller`'s certificate.

    A connection that has its age gets no new calls: they make another one, with the
    certificates of today. It stays for the streams that it has, and ends with the last.
    """
    name = names.towards(caller, service)
    return Cluster(
        name=name,
        type=ClusterDiscoveryType.STATIC,
        load_assignment=assignment(name, [[Host(names.inbound_socket(run, service))]]),
        connect_timeout=seconds(CONNECT_S),
        typed_extension_protocol_options=_http2(_staggered(name, connection_age_s)),
        circuit_breakers=breakers.towards(capacity),
        transport_socket=secrets.client_side(caller, service),
    )


def _http2(oldest_s: float | None = None) -> dict[str, AnyMessage]:
    explicit = HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=windows.inside())
    options = HttpProtocolOptions(explicit_http_config=explicit)
    if oldest_s is not None:
        options.common_http_protocol_options = CommonHttpProtocolOptions(
            max_connection_duration=seconds(oldest_s)
        )
    return {_HTTP_OPTIONS: pack(options)}


def _staggered(cluster: str, age_s: float) -> float:
    """The age, a tenth more or less by the cluster's name: Envoy has no jitter for it."""
    return age_s * (0.9 + 0.2 * (zlib.crc32(cluster.encode()) % 1000) / 1000)


def _http1() -> dict[str, AnyMessage]:
    options = HttpProtocolOptions(
        explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(
            http_protocol_options=Http1ProtocolOptions()
        ),
        common_http_protocol_options=CommonHttpProtocolOptions(idle_timeout=seconds(PART_IDLE_S)),
    )
    return {_HTTP_OPTIONS: pack(options)}


def _often(asked: HealthCheck, interval_s: float) -> HealthCheck:
    asked.timeout = seconds(HEALTH_TIMEOUT_S)
    asked.interval = seconds(interval_s)
    # A cluster that was never used is otherwise asked once a minute.
    asked.no_traffic_interval = seconds(interval_s)
    asked.unhealthy_threshold = SILENT_TIMES
    asked.healthy_threshold = 1
    return asked
