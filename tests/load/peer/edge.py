"""An Envoy before the peer, as Palestra's edge is: tokens verified, mTLS to what is behind it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mesh.control.authority import create_authority, utc_now
from mesh.runtime.tokens import AUDIENCE, ISSUER

_TYPES = "type.googleapis.com/envoy.extensions"


def certificates(folder: Path) -> dict[str, dict[str, str]]:
    """Files of a fresh authority: of the peer, which serves, and of the edge, which calls."""
    authority = create_authority(utc_now())
    (folder / "ca.pem").write_bytes(authority.ca_pem)
    found = {}
    for name in ("edge", "peer"):
        identity = authority.issue(name, utc_now())
        paths = {
            "certificate": folder / f"{name}.pem",
            "key": folder / f"{name}.key",
            "ca": folder / "ca.pem",
        }
        paths["certificate"].write_bytes(identity.chain_pem)
        paths["key"].touch(0o600)
        paths["key"].write_bytes(identity.key_pem)
        found[name] = {kind: str(path) for kind, path in paths.items()}
    return found


def bootstrap(port: int, socket: str, files: dict[str, str], jwks: Any) -> dict[str, Any]:
    """Envoy's whole configuration: HTTP/1.1 on a port, to a socket that speaks TLS 1.3."""
    filters = [
        {"name": "jwt", "typed_config": _jwt(jwks)},
        {"name": "router", "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"}},
    ]
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "peer",
        "http_filters": filters,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "peer",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "peer"}}],
                }
            ]
        },
    }
    listener = {
        "name": "peer",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster(socket, files)]}}


def _jwt(jwks: Any) -> dict[str, Any]:
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": True,
        "local_jwks": {"inline_string": json.dumps(jwks)},
        "jwt_cache_config": {"jwt_cache_size": 10_000},
    }
    return {
        "@type": f"{_TYPES}.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"palestra": provider},
        "rules": [{"match": {"prefix": "/v1/"}, "requires": {"provider_name": "palestra"}}],
    }


def _cluster(socket: str, files: dict[str, str]) -> dict[str, Any]:
    tls = {
        "@type": f"{_TYPES}.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": "peer",
        "common_tls_context": {
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": files["certificate"]},
                    "private_key": {"filename": files["key"]},
                }
            ],
            "validation_context": {"trusted_ca": {"filename": files["ca"]}},
        },
    }
    return {
        "name": "peer",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "peer",
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]}
            ],
        },
        "transport_socket": {"name": "tls", "typed_config": tls},
    }
