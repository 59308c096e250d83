"""How answers are compressed on their way out.

Owns which, and how hard. Only texts beyond a packet, never streams (each event would
wait for the next) and never what holds a secret (its length would tell of it).
"""

from __future__ import annotations

import betterproto2
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.route.v3 import FilterConfig
from envoy_data_plane.envoy.extensions.compression.brotli.compressor.v3 import Brotli
from envoy_data_plane.envoy.extensions.compression.gzip.compressor.v3 import (
    Gzip,
    GzipCompressionLevel,
)
from envoy_data_plane.envoy.extensions.compression.zstd.compressor.v3 import Zstd
from envoy_data_plane.envoy.extensions.filters.http.compressor.v3 import (
    Compressor,
    CompressorCommonDirectionConfig,
    CompressorResponseDirectionConfig,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from mesh.control.wire import pack

SMALLEST_BYTES = 1_400
"""What fits a packet anyhow is left as it is."""
TEXTS = (
    "application/json",
    "application/javascript",
    "application/yaml",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
    "text/plain",
)
# And a part of a body is a part of the body as it was.
_WITHOUT_BODY = [204, 206, 304]
# One thread of the edge serves everybody: each takes its fastest useful level.
# Equally welcome, the first is taken; it is the cheapest.
_LIBRARIES: tuple[tuple[str, betterproto2.Message], ...] = (
    ("zstd", Zstd(compression_level=1)),
    ("brotli", Brotli(quality=2)),
    ("gzip", Gzip(compression_level=GzipCompressionLevel.BEST_SPEED)),
)


def as_filters() -> list[HttpFilter]:
    """One filter per way of compressing; a client that accepts none meets none."""
    return [_filter(name, library) for name, library in _LIBRARIES]


def off() -> dict[str, FilterConfig]:
    """What a route says whose answers are never compressed: the filters are not made for it."""
    return {_name(name): FilterConfig(disabled=True) for name, _ in _LIBRARIES}


def _filter(name: str, library: betterproto2.Message) -> HttpFilter:
    common = CompressorCommonDirectionConfig(
        min_content_length=SMALLEST_BYTES, content_type=list(TEXTS)
    )
    config = Compressor(
        compressor_library=TypedExtensionConfig(name=name, typed_config=pack(library)),
        response_direction_config=CompressorResponseDirectionConfig(
            common_config=common,
            weaken_etag_on_compress=True,
            uncompressible_response_codes=_WITHOUT_BODY,
        ),
    )
    return HttpFilter(name=_name(name), typed_config=pack(config))


def _name(library: str) -> str:
    return f"compress-{library}"
