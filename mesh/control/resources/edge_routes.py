"""The edge's routes: `gateway.routes` with what each filter needs to know of a route.

Owns how a route tells the filters about tokens, limits and bodies. Which
routes there are is `gateway`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import betterproto2
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation
from envoy_data_plane.envoy.config.core.v3 import DataSource, HeaderValueOption
from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    FilterConfig,
    HeaderMatcher,
    Route,
    RouteAction,
    RouteActionClusterNotFoundResponseCode,
    RouteConfiguration,
    RouteMatch,
)
from envoy_data_plane.envoy.extensions.filters.http.buffer.v3 import BufferPerRoute
from envoy_data_plane.envoy.extensions.filters.http.cors.v3 import CorsPolicy
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import (
    HeaderMutationPerRoute,
    Mutations,
)
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn.v3 import PerRouteConfig
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Any as AnyMessage

from gateway.routes import VERBS, EdgeRoute
from mesh import catalog
from mesh.control.resources import names
from mesh.control.resources.filters import TOKEN_REQUIREMENT
from mesh.control.resources.limits import counted_by
from mesh.control.resources.routes import forward, table, untouched
from mesh.control.wire import exactly, fitting, header, pack

CORS, JWT, LIMITS = "cors", names.JWT, names.LIMITS
BUFFER, STRIP, TRANSCODER = "body-limit", "rest-headers", names.TRANSCODER
# gRPC-Web as well, which is not yet translated when the route is chosen.
_GRPC = HeaderMatcher(name="content-type", string_match=StringMatcher(prefix="application/grpc"))
_HEALTH = '{"status":"SERVING"}'
_GRPC_HEADERS = ("grpc-status", "grpc-message", "grpc-status-details-bin")
_EXPOSED = ",".join(
    (
        *_GRPC_HEADERS,
        "x-request-id",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    )
)
_ACCEPTED = "authorization,content-type,accept-language,x-grpc-web,x-user-agent,grpc-timeout"


def edge(routes: Sequence[EdgeRoute]) -> RouteConfiguration:
    """Health, every route of the contract, and a refusal of all else."""
    configuration = table(
        names.EDGE_ROUTES, [_health(), *(_route(each) for each in routes), _unknown()]
    )
    configuration.virtual_hosts[0].typed_per_filter_config = {CORS: pack(_cors())}
    return configuration


def _route(route: EdgeRoute) -> Route:
    cluster = names.towards(catalog.EDGE, route.service)
    action = forward(cluster, route.timeout_ms, untouched(), rest=route.pattern is not None)
    if route.limit:
        action.rate_limits = [counted_by(route.method, route.limit.key)]
    return Route(
        name=route.name,
        match=_match(route),
        route=action,
        request_headers_to_add=_deadline(route),
        typed_per_filter_config={name: pack(config) for name, config in _per_filter(route).items()},
    )


def _match(route: EdgeRoute) -> RouteMatch:
    if route.pattern is None:
        return RouteMatch(path=route.method, headers=[_GRPC])
    verb = HeaderMatcher(name=":method", string_match=exactly(route.verb))
    if route.pattern.exact:
        return RouteMatch(path=route.pattern.template, headers=[verb])
    return RouteMatch(safe_regex=fitting(route.pattern.regex), headers=[verb])


def _deadline(route: EdgeRoute) -> list[HeaderValueOption]:
    """Deadlines travel: REST clients send none, gRPC clients may have a shorter one."""
    if not route.timeout_ms:
        return []
    return [header("grpc-timeout", f"{route.timeout_ms}m", keep=route.pattern is None)]


def _per_filter(route: EdgeRoute) -> dict[str, betterproto2.Message]:
    token = PerRouteConfig(requirement_name=TOKEN_REQUIREMENT)
    configs: dict[str, betterproto2.Message] = {
        JWT: token if route.needs_token else PerRouteConfig(disabled=True)
    }
    if route.streaming:
        configs[BUFFER] = BufferPerRoute(disabled=True)
    if route.pattern:
        removals = [HeaderMutation(remove=name) for name in _GRPC_HEADERS]
        configs[STRIP] = HeaderMutationPerRoute(mutations=Mutations(response_mutations=removals))
    return configs


def _health() -> Route:
    return Route(
        name="healthz",
        match=RouteMatch(path="/healthz"),
        direct_response=DirectResponseAction(status=200, body=DataSource(inline_string=_HEALTH)),
        response_headers_to_add=[header("content-type", "application/json")],
        typed_per_filter_config={TRANSCODER: _off(), LIMITS: _off()},
    )


def _unknown() -> Route:
    """Leads nowhere, but is a route: without one, browsers may neither ask first nor read why.

    The cluster is named by a header that no request can have (see `listeners`).
    """
    return Route(
        name="unknown",
        match=RouteMatch(prefix="/"),
        route=RouteAction(
            cluster_header="x-palestra-nowhere",
            cluster_not_found_response_code=RouteActionClusterNotFoundResponseCode.NOT_FOUND,
        ),
        typed_per_filter_config={TRANSCODER: _off()},
    )


def _off() -> AnyMessage:
    return pack(FilterConfig(disabled=True))


def _cors() -> CorsPolicy:
    """Any origin: who calls is told by the token, which no browser sends by itself."""
    return CorsPolicy(
        allow_origin_string_match=[StringMatcher(safe_regex=fitting(".*"))],
        allow_methods=",".join(VERBS),
        allow_headers=_ACCEPTED,
        expose_headers=_EXPOSED,
        max_age="86400",
    )
