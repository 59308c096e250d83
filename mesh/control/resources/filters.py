"""The filters that change while streams are open, pushed on their own.

Owns the edge's token keys, limits and transcoder, and the node proxy's rules
of who may call what. A change here cuts no stream; a changed listener would.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import DataSource, TypedExtensionConfig
from envoy_data_plane.envoy.config.rbac.v3 import (
    Permission,
    Policy,
    Principal,
    PrincipalAuthenticated,
)
from envoy_data_plane.envoy.config.rbac.v3 import Rbac as Rules
from envoy_data_plane.envoy.extensions.common.ratelimit.v3 import (
    LocalRateLimitDescriptor,
    RateLimitDescriptorEntry,
    XRateLimitHeadersRfcVersion,
)
from envoy_data_plane.envoy.extensions.filters.http.grpc_json_transcoder.v3 import (
    GrpcJsonTranscoder,
    GrpcJsonTranscoderPrintOptions,
    GrpcJsonTranscoderRequestValidationOptions,
    GrpcJsonTranscoderUrlUnescapeSpec,
)
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn.v3 import (
    JwtAuthentication,
    JwtCacheConfig,
    JwtHeader,
    JwtProvider,
    JwtRequirement,
)
from envoy_data_plane.envoy.extensions.filters.http.local_ratelimit.v3 import LocalRateLimit
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac
from envoy_data_plane.envoy.type.matcher.v3 import PathMatcher, StringMatcher
from envoy_data_plane.envoy.type.v3 import TokenBucket

from gateway.pages import BEARER_SUBPROTOCOL, Page
from gateway.routes import EdgeRoute
from mesh import catalog
from mesh.control.access import Rule
from mesh.control.resources import names
from mesh.control.resources.limits import METHOD_KEY, always, descriptor_key
from mesh.control.resources.strict_tokens import LEEWAY_S, LONGEST_LIFE_S, LONGEST_TOKEN
from mesh.control.wire import exactly, pack, seconds

ISSUER = "https://palestra.local"
AUDIENCE = "palestra"
TOKEN_REQUIREMENT = "token"  # noqa: S105  the name of a rule, not a secret
WEBSOCKET_REQUIREMENT = "websocket"
CLAIMS, CLAIMS_OF = "claims", "envoy.filters.http.jwt_authn"
"""Where in a call's metadata the claims of its token are."""
MAX_BODY_BYTES = 1 << 20
# A download (HttpBody) is held whole while it is transcoded.
MAX_ANSWER_BYTES = 32 << 20
# Callers whose calls are counted apart at once; beyond, the longest unseen is forgotten.
MAX_CALLERS = 10_000


def tokens(jwks: str) -> TypedExtensionConfig:
    """Verifies access tokens by the keys of today."""
    bearer = JwtHeader(name="authorization", value_prefix="Bearer ")
    # A browser can give a WebSocket no header but the protocols that it offers.
    offered = JwtHeader(name="sec-websocket-protocol", value_prefix=BEARER_SUBPROTOCOL)
    accepted = {TOKEN_REQUIREMENT: [bearer], WEBSOCKET_REQUIREMENT: [bearer, offered]}
    config = JwtAuthentication(
        providers={name: _provider(jwks, headers) for name, headers in accepted.items()},
        requirement_map={name: JwtRequirement(provider_name=name) for name in accepted},
        bypass_cors_preflight=True,
    )
    return TypedExtensionConfig(name=names.JWT, typed_config=pack(config))


def _provider(jwks: str, headers: list[JwtHeader]) -> JwtProvider:
    return JwtProvider(
        issuer=ISSUER,
        audiences=[AUDIENCE],
        # What is left of it; how long it lives in all is looked at behind this.
        max_lifetime=timedelta(seconds=LONGEST_LIFE_S + LEEWAY_S),
        local_jwks=DataSource(inline_string=jwks),
        forward=True,
        # Said, because by default a query parameter would do as well and end up in logs.
        from_headers=headers,
        payload_in_metadata=CLAIMS,
        # 0 would mean Envoy's default of a minute.
        clock_skew_seconds=1,
        jwt_cache_config=JwtCacheConfig(jwt_cache_size=10_000, jwt_max_token_size=LONGEST_TOKEN),
    )


def limits(routes: Iterable[EdgeRoute | Page]) -> TypedExtensionConfig:
    """A bucket per method and caller; REST and gRPC calls of a method share it.

    Where all edges count together, this one's bucket stays as a coarse guard: it takes
    nothing from whoever waits when told to, spares the limiter what is far too much, and
    holds while the limiter is away.
    """
    limited = {route.method: route.limit for route in routes if route.limit}
    descriptors = [
        LocalRateLimitDescriptor(
            entries=[
                RateLimitDescriptorEntry(key=METHOD_KEY, value=method),
                # No value: each caller gets a bucket of its own.
                RateLimitDescriptorEntry(key=descriptor_key(limit.key)),
            ],
            token_bucket=TokenBucket(
                max_tokens=limit.requests,
                tokens_per_fill=limit.requests,
                fill_interval=seconds(limit.window_s),
            ),
        )
        for method, limit in limited.items()
    ]
    config = LocalRateLimit(
        stat_prefix="edge",
        filter_enabled=always(),
        filter_enforced=always(),
        descriptors=descriptors,
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=MAX_CALLERS,
        enable_x_ratelimit_headers=XRateLimitHeadersRfcVersion.DRAFT_VERSION_03,
        rate_limited_as_resource_exhausted=True,
    )
    return TypedExtensionConfig(name=names.LIMITS, typed_config=pack(config))


def transcoder(descriptor_set: bytes, services: Sequence[str]) -> TypedExtensionConfig:
    """REST and JSON to gRPC by the contract's mappings."""
    config = transcoding(descriptor_set, services)
    return TypedExtensionConfig(name=names.TRANSCODER, typed_config=pack(config))


def transcoding(
    descriptor_set: bytes, services: Sequence[str], *, events: bool = False
) -> GrpcJsonTranscoder:
    """How it is transcoded; streams as a JSON document a line, or as server-sent `events`."""
    return GrpcJsonTranscoder(
        proto_descriptor_bin=descriptor_set,
        services=list(services),
        match_incoming_request_route=True,
        convert_grpc_status=True,
        case_insensitive_enum_parsing=True,
        url_unescape_spec=GrpcJsonTranscoderUrlUnescapeSpec.ALL_CHARACTERS_EXCEPT_RESERVED,
        query_param_unescape_plus=True,
        # An empty list is a list and false is said; what is `optional` stays absent where absent.
        print_options=GrpcJsonTranscoderPrintOptions(
            always_print_primitive_fields=True,
            stream_newline_delimited=not events,
            stream_sse_style_delimited=events,
        ),
        request_validation_options=GrpcJsonTranscoderRequestValidationOptions(
            reject_unknown_method=True,
            reject_unknown_query_parameters=True,
            reject_binding_body_field_collisions=True,
        ),
        max_request_body_size=MAX_BODY_BYTES,
        max_response_body_size=MAX_ANSWER_BYTES,
    )


def callers(service: str, rules: Sequence[Rule]) -> TypedExtensionConfig:
    """Who may call which of a service's methods; everything else is refused."""
    policies = {" ".join(rule.workloads): _policy(rule) for rule in rules}
    config = Rbac(rules=Rules(policies=policies))
    return TypedExtensionConfig(name=names.callers(service), typed_config=pack(config))


def _policy(rule: Rule) -> Policy:
    paths = [exactly(path) for path in rule.paths]
    paths += [StringMatcher(prefix=prefix) for prefix in rule.prefixes]
    return Policy(
        permissions=[Permission(url_path=PathMatcher(path=path)) for path in paths],
        principals=[
            Principal(
                authenticated=PrincipalAuthenticated(
                    principal_name=exactly(catalog.spiffe_id(workload))
                )
            )
            for workload in rule.workloads
        ],
    )
