"""The edge's routes to its own processes: `gateway.pages` with what each filter needs to know.

Owns the way of a page's request: token, limit, body, the proof that it came through the
edge. Which pages there are is `gateway`'s.
"""

from __future__ import annotations

from collections.abc import Iterable

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation
from envoy_data_plane.envoy.config.route.v3 import (
    FilterConfig,
    Route,
    RouteActionUpgradeConfig,
    RouteMatch,
)
from envoy_data_plane.envoy.extensions.filters.http.buffer.v3 import BufferPerRoute
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import (
    HeaderMutationPerRoute,
    Mutations,
)
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn.v3 import PerRouteConfig
from envoy_data_plane.google.protobuf import Any as AnyMessage

from gateway.origins import ANY, Origins
from gateway.pages import Page
from mesh.control.resources import compression, limits, names, retries, strict_tokens
from mesh.control.resources.edge_routes import BUFFER, CORS, JWT, STRIP, TRANSCODER, cors
from mesh.control.resources.filters import TOKEN_REQUIREMENT, WEBSOCKET_REQUIREMENT
from mesh.control.resources.routes import PROOF_HEADER, forward
from mesh.control.wire import header, pack
from mesh.policy import Meaning

# Where a page says otherwise of itself, its own word holds.
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SECURED = HeaderMutationPerRoute(
    mutations=Mutations(
        response_mutations=[
            HeaderMutation(append=header(name, value, keep=True))
            for name, value in _HEADERS.items()
        ]
    )
)


def routes(
    pages: Iterable[Page], proof: str, refused: Meaning, origins: Origins = ANY
) -> list[Route]:
    """A route per page, in their order; `refused` is the reason for too many calls."""
    return [
        limits.on(_route(page, proof, origins), page.method, page.limit, refused) for page in pages
    ]


def _route(page: Page, proof: str, origins: Origins) -> Route:
    action = forward(names.workers(page.part), page.timeout_ms, retries.across_workers(), rest=True)
    if page.websocket:
        action.upgrade_configs = [RouteActionUpgradeConfig(upgrade_type="websocket")]
    below = RouteMatch(path_separated_prefix=page.path)
    return Route(
        name=page.name,
        match=below if page.under else RouteMatch(path=page.path),
        route=action,
        request_headers_to_add=[header(PROOF_HEADER, proof)],
        typed_per_filter_config=_per_filter(page, origins),
    )


def _per_filter(page: Page, origins: Origins) -> dict[str, AnyMessage]:
    requirement = WEBSOCKET_REQUIREMENT if page.websocket else TOKEN_REQUIREMENT
    token = PerRouteConfig(requirement_name=requirement)
    configs = {
        TRANSCODER: pack(FilterConfig(disabled=True)),
        JWT: pack(token if page.needs_token else PerRouteConfig(disabled=True)),
    }
    for name, config in strict_tokens.on_route(needs_token=page.needs_token).items():
        configs[name] = pack(config)
    if not page.websocket:
        configs[STRIP] = pack(_SECURED)
    if page.streaming:
        configs[BUFFER] = pack(BufferPerRoute(disabled=True))
    if page.raw:
        configs |= {name: pack(config) for name, config in compression.off().items()}
    if page.accepts or page.exposes:
        configs[CORS] = pack(cors(origins, page.accepts, page.exposes))
    return configs
