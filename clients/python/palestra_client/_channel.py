"""The connection to the edge.

Decides plaintext or TLS: passwords leave this machine only under TLS unless
the caller insists. Opens nothing before it is called.
"""

from __future__ import annotations

import os
from pathlib import Path

import grpc

_XDS, _BOOTSTRAP = "xds:", "GRPC_XDS_BOOTSTRAP"
_LOOPBACK = ("127.", "localhost", "[::1]", "unix:", "unix-abstract:")
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # A peer that died without a word is noticed within 25 s of a stream's silence.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # After an outage the first call should not wait for gRPC's own 120 s back-off.
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # Despite its name: how long a connection may take at least until it counts as failed.
    # Three round trips with TLS, over a phone; gRPC's own 20 s are long for one that died.
    ("grpc.min_reconnect_backoff_ms", 5_000),
)


def is_this_machine(target: str) -> bool:
    """Whether `target` is reached without leaving the machine."""
    return target.startswith(_LOOPBACK)


def open_channel(
    target: str,
    *,
    tls: bool | None = None,
    ca: bytes | None = None,
    bootstrap: Path | None = None,
) -> grpc.aio.Channel:
    """A channel to `target`, `host:port` or `unix:path`; made inside the running loop.

    `xds:///<service>` goes to a service inside the mesh, with no proxy on this side: where
    it is, its routes and the certificates are the control plane's to say, which `bootstrap`
    names (or the environment's GRPC_XDS_BOOTSTRAP). gRPC knows one bootstrap a process.

    `tls` None means: TLS unless the target is this machine, or where a `ca` is given. That
    is who vouches for the server, as PEM, instead of the authorities that gRPC knows.

    Raises:
        ValueError: a `ca` and no TLS; `xds:` without a bootstrap, or a second one.
    """
    if target.startswith(_XDS):
        return _through_the_control_plane(target, bootstrap)
    if tls is None:
        tls = ca is not None or not is_this_machine(target)
    if ca is not None and not tls:
        raise ValueError("a ca means nothing without TLS")
    if tls:
        credentials = grpc.ssl_channel_credentials(root_certificates=ca)
        return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)
    return grpc.aio.insecure_channel(target, options=_OPTIONS)


def _through_the_control_plane(target: str, bootstrap: Path | None) -> grpc.aio.Channel:
    known = os.environ.get(_BOOTSTRAP)
    if bootstrap is not None and known not in (None, str(bootstrap)):
        raise ValueError(f"this process speaks xDS by {known} already")
    if bootstrap is None and known is None:
        raise ValueError(f"{target} needs a bootstrap")
    os.environ[_BOOTSTRAP] = str(bootstrap or known)
    # Plaintext to nobody, whatever the control plane says.
    credentials = grpc.xds_channel_credentials(grpc.ssl_channel_credentials())
    return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)
