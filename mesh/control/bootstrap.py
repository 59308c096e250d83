"""The little that an Envoy is started with: who it is and where control is.

Owns the two bootstrap documents, in Envoy's own JSON. Everything else comes
over the stream.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_CONNECTIONS = "envoy.extensions.resource_monitors.downstream_connections.v3"
SOCKET_MODE = 0o600
MAX_CONNECTIONS = 20_000
# A changed listener lets go of what it still carries after this: longer than any workout.
DRAIN_S = 86_400
ARGUMENTS: tuple[str, ...] = (
    # Hot restart would leave a segment in /dev/shm at every kill.
    "--disable-hot-restart",
    *("--concurrency", "1"),
    # New calls go over new connections at once; only what is under way stays.
    *("--drain-time-s", str(DRAIN_S), "--drain-strategy", "immediate"),
)
"""How an Envoy of ours is started, beside its bootstrap and its log level."""
Protocol = Literal["GRPC", "DELTA_GRPC"]
WHOLE: Protocol = "GRPC"
"""State of the world: each push holds all resources of a type."""
INCREMENTAL: Protocol = "DELTA_GRPC"
"""Each push holds what changed; a proxy that reconnects is told only what it missed."""


def edge_bootstrap(
    state: Path, host: str, port: int, protocol: Protocol = INCREMENTAL
) -> dict[str, Any]:
    """How the edge is started; `host` and `port` are where control will have it listen."""
    return _bootstrap(state, "edge", {"listens": f"{host}:{port}"}, protocol)


def node_bootstrap(state: Path, protocol: Protocol = INCREMENTAL) -> dict[str, Any]:
    """How the node proxy is started."""
    return _bootstrap(state, "node", {}, protocol)


def _bootstrap(
    state: Path, proxy: str, metadata: dict[str, str], protocol: Protocol
) -> dict[str, Any]:
    run = state / "run"
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "node": {"id": proxy, "cluster": "palestra", "metadata": metadata},
        "dynamic_resources": {
            "ads_config": {
                "api_type": protocol,
                "transport_api_version": "V3",
                # 61 KB with every acknowledgement otherwise.
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": _control()}],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": {"clusters": [_control_cluster(run / "xds.sock")]},
        "overload_manager": {"resource_monitors": [_connection_limit()]},
        "admin": {
            "address": {"pipe": {"path": str(run / f"{proxy}.admin.sock"), "mode": SOCKET_MODE}}
        },
    }


def _connection_limit() -> dict[str, Any]:
    return {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": f"type.googleapis.com/{_CONNECTIONS}.DownstreamConnectionsConfig",
            "max_active_downstream_connections": MAX_CONNECTIONS,
        },
    }


def _control() -> dict[str, Any]:
    # Envoy's own back-off grows to 30 s; a control plane that restarts is back sooner, and to
    # knock at a socket of this machine three times a second costs nothing.
    back_off = {"base_interval": "0.1s", "max_interval": "0.3s"}
    return {"cluster_name": "control", "retry_policy": {"retry_back_off": back_off}}


def _control_cluster(socket: Path) -> dict[str, Any]:
    host = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    return {
        "name": "control",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "control",
            "endpoints": [{"lb_endpoints": [host]}],
        },
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
