"""Flow control between the processes of the mesh: what a proxy holds for who does not read.

Owns the two numbers. A proxy keeps up to a window of every stream in each direction, so the
smallest that HTTP/2 knows bounds thousands of slow consumers; Envoy's default is 16 MiB of
each. On a unix socket a window is used up and given back in microseconds.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import Http2ProtocolOptions

STREAM_BYTES = (1 << 16) - 1
CONNECTION_BYTES = 1 << 29
"""Never the bound: one connection carries a service's streams, and those that are not read
must leave room for all others."""


def inside(most_streams: int | None = None) -> Http2ProtocolOptions:
    """HTTP/2 between proxies and services."""
    return Http2ProtocolOptions(
        initial_stream_window_size=STREAM_BYTES,
        initial_connection_window_size=CONNECTION_BYTES,
        max_concurrent_streams=most_streams,
    )
