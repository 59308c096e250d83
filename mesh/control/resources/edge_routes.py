"""The edge's routes: `gateway.routes` with what each filter needs to know of a route.

Owns how a route tells the filters about tokens, limits and bodies. Which
routes there are is `gateway`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

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
from envoy_data_plane.envoy.extensions.filters.http.grpc_json_transcoder.v3 import (
    GrpcJsonTranscoder,
)
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import (
    HeaderMutationPerRoute,
    Mutations,
)
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn.v3 import PerRouteConfig
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Any as AnyMessage

from gateway import limits as limit_names
from gateway.origins import ANY, Origins
from gateway.routes import VERBS, EdgeRoute
from mesh import catalog
from mesh.control.resources import (
    compression,
    limits,
    names,
    retries,
    strict_tokens,
    strictness,
    tags,
)
from mesh.control.resources.filters import TOKEN_REQUIREMENT
from mesh.control.resources.routes import forward, table
from mesh.control.wire import exactly, final, fitting, formatted, header, pack
from mesh.policy import Meaning

CORS, JWT, LIMITS = "cors", names.JWT, names.LIMITS
BUFFER, STRIP, TRANSCODER = "body-limit", "rest-headers", names.TRANSCODER
# gRPC-Web as well, which is not yet translated when the route is chosen.
_GRPC = HeaderMatcher(name="content-type", string_match=StringMatcher(prefix="application/grpc"))
_ASKS_FOR_EVENTS = HeaderMatcher(
    name="accept", string_match=StringMatcher(contains="text/event-stream", ignore_case=True)
)
_NO_PREFLIGHT = HeaderMatcher(
    name="access-control-request-method", present_match=True, invert_match=True
)
# The client, as the edge knows it: behind proxies of ours, the one before them.
_CLIENT = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
# Several contracts' worth: that of today, and those that are judged.
_MOST_KEPT = 2_000
_HEALTH = '{"status":"SERVING"}'
_GRPC_HEADERS = ("grpc-status", "grpc-message", "grpc-status-details-bin")
_LEAKING = (*_GRPC_HEADERS, "grpc-accept-encoding", "grpc-encoding", "x-envoy-overloaded")
# Where nobody says otherwise: what is one person's is kept nowhere, and is what it says it is.
_SAID = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))
# The transcoder calls its lines application/json; what is refused is that indeed.
_LINES = '%CEL(response.headers[":status"] == "200" ? "application/x-ndjson" : "application/json")%'
_EXPOSED = ",".join(
    (
        *_GRPC_HEADERS,
        "etag",
        "x-request-id",
        "retry-after",
        *limit_names.HEADERS,
    )
)
_ACCEPTED = (
    "authorization,content-type,accept-language,if-match,if-none-match,x-palestra-strict,"
    "x-palestra-dev,x-palestra-consistency,"
    "x-grpc-web,x-user-agent,grpc-timeout"
)


def edge(
    routes: Sequence[EdgeRoute],
    events: Mapping[str, GrpcJsonTranscoder],
    pages: Sequence[Route],
    refused: Meaning,
    origins: Origins = ANY,
) -> RouteConfiguration:
    """Health, the pages, every route of the contract, and a refusal of all else.

    `events` transcodes to server-sent events, by the gRPC path of each stream over REST;
    `refused` is the reason for too many calls.
    """
    ways = [
        way
        for each in routes
        for way in (
            *_as_events(each, events.get(each.method), refused),
            _route(each, refused),
        )
    ]
    configuration = table(
        names.EDGE_ROUTES, [_health(), *pages, *ways, *_other_verbs(routes), _unknown()]
    )
    configuration.virtual_hosts[0].typed_per_filter_config = {CORS: pack(cors(origins))}
    configuration.request_headers_to_add = [formatted(catalog.ADDRESS_HEADER, _CLIENT)]
    return configuration


@lru_cache(maxsize=_MOST_KEPT)
def _route(route: EdgeRoute, refused: Meaning) -> Route:
    """Kept: a contract is drawn for each judgement of a slice, and most of it is as it was."""
    return final(_made(route, refused))


def _made(route: EdgeRoute, refused: Meaning) -> Route:
    cluster = names.towards(catalog.EDGE, route.service)
    again = retries.by_caller(repeatable=route.repeatable)
    action = forward(cluster, route.timeout_ms, again, rest=route.pattern is not None)
    way = Route(
        name=route.name,
        match=_match(route),
        route=action,
        request_headers_to_add=_deadline(route),
        # A REST body is in no encoding of gRPC's, whatever the client says.
        request_headers_to_remove=["grpc-encoding"] if route.pattern else [],
        typed_per_filter_config={name: pack(config) for name, config in _per_filter(route).items()},
    )
    return limits.on(way, route.method, route.limit, refused)


def _as_events(
    route: EdgeRoute, transcoding: GrpcJsonTranscoder | None, refused: Meaning
) -> Iterator[Route]:
    """The same way for those that ask for server-sent events."""
    if route.pattern is None or transcoding is None:
        return
    way = _made(route, refused)
    way.name += " as events"
    if way.match:
        way.match.headers.append(_ASKS_FOR_EVENTS)
    way.typed_per_filter_config |= {TRANSCODER: pack(transcoding), STRIP: pack(_answers([]))}
    yield way


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
        JWT: token if route.needs_token else PerRouteConfig(disabled=True),
        **strict_tokens.on_route(needs_token=route.needs_token),
    }
    if route.repeatable:
        configs[retries.FILTER] = retries.throttled(route.service)
    if route.streaming:
        configs[BUFFER] = BufferPerRoute(disabled=True)
    if route.pattern:
        configs[STRIP] = _answers([_as_lines()] if route.streaming else [])
    if route.cached:
        configs[tags.FILTER] = tags.on_route(rendered=route.rendered)
    # What a route has no use for is not made for its calls.
    if route.secret or route.streaming or route.pattern is None:
        configs |= compression.off()
    if route.pattern is None:
        configs[TRANSCODER] = FilterConfig(disabled=True)
    if route.pattern is None or not strictness.concerns(route.verb):
        configs[strictness.FILTER] = FilterConfig(disabled=True)
    return configs


def _answers(more: Sequence[HeaderMutation]) -> HeaderMutationPerRoute:
    """What is changed of the headers of a REST answer."""
    removals = [HeaderMutation(remove=name) for name in _LEAKING]
    said = [HeaderMutation(append=header(name, value, keep=True)) for name, value in _SAID]
    return HeaderMutationPerRoute(mutations=Mutations(response_mutations=[*removals, *said, *more]))


def _as_lines() -> HeaderMutation:
    lines = header("content-type", "")
    if lines.header:
        lines.header.value = _LINES
    return HeaderMutation(append=lines)


def _health() -> Route:
    return Route(
        name="healthz",
        match=RouteMatch(path="/healthz"),
        direct_response=DirectResponseAction(status=200, body=DataSource(inline_string=_HEALTH)),
        response_headers_to_add=[header("content-type", "application/json")],
        typed_per_filter_config={each: _off() for each in (TRANSCODER, LIMITS, names.FORM)},
    )


def _other_verbs(routes: Sequence[EdgeRoute]) -> Iterator[Route]:
    """A refusal of every verb that a path does not have, which names those that it has."""
    verbs: dict[str, list[str]] = {}
    for route in routes:
        if route.pattern:
            verbs.setdefault(route.pattern.template, []).append(route.verb)
    for route in routes:
        allowed = verbs.pop(route.pattern.template, []) if route.pattern else []
        if allowed:
            yield _refusal(route, ", ".join(sorted(allowed)))


@lru_cache(maxsize=_MOST_KEPT)
def _refusal(route: EdgeRoute, allowed: str) -> Route:
    match = _match(route)
    # Browsers that ask first are answered by a filter, which wants a way that leads on.
    match.headers = [_NO_PREFLIGHT]
    return final(
        Route(
            name=f"other verbs {route.pattern.template if route.pattern else ''}",
            match=match,
            direct_response=DirectResponseAction(status=405),
            response_headers_to_add=[
                header("allow", allowed),
                # The filter leaves out what leads nowhere. Any page may read why: it is
                # the same for everybody.
                header("access-control-allow-origin", "*"),
                header("access-control-expose-headers", "allow,x-request-id"),
            ],
            typed_per_filter_config={each: _off() for each in (TRANSCODER, LIMITS, names.FORM)},
        )
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
        typed_per_filter_config={TRANSCODER: _off(), names.FORM: _off()},
    )


def _off() -> AnyMessage:
    return pack(FilterConfig(disabled=True))


def cors(origins: Origins, accepts: Sequence[str] = (), exposes: Sequence[str] = ()) -> CorsPolicy:
    """What browsers may do from pages of these origins, with these headers beside the usual."""
    return CorsPolicy(
        allow_origin_string_match=[
            StringMatcher(safe_regex=fitting(regex)) for regex in origins.regexes or (".*",)
        ],
        allow_methods=",".join((*VERBS, "HEAD")),
        allow_headers=",".join((_ACCEPTED, *accepts)),
        expose_headers=",".join((_EXPOSED, *exposes)),
        max_age="86400",
    )
