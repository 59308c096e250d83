"""The connection to the edge.

Decides plaintext or TLS: passwords leave this machine only under TLS unless
the caller insists. Opens nothing before it is called.
"""

from __future__ import annotations

import grpc

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
    ("grpc.min_reconnect_backoff_ms", 100),
)


def is_this_machine(target: str) -> bool:
    """Whether `target` is reached without leaving the machine."""
    return target.startswith(_LOOPBACK)


def open_channel(target: str, *, tls: bool | None = None) -> grpc.aio.Channel:
    """A channel to `target`, `host:port` or `unix:path`; made inside the running loop.

    `tls` None means: TLS unless the target is this machine.
    """
    if tls is None:
        tls = not is_this_machine(target)
    if tls:
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=_OPTIONS)
    return grpc.aio.insecure_channel(target, options=_OPTIONS)
