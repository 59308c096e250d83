"""Where requests come in, and the order of the filters that they pass.

Owns the listeners, which are static after start: a changed listener drains its
streams. What may change is named here and pushed apart: routes and filters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import betterproto2
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import (
    HeaderMutation,
    HeaderMutationRemoveOnMatch,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    ExtensionConfigSource,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    HttpProtocolOptionsHeadersWithUnderscoresAction,
    KeepaliveSettings,
    SocketAddress,
    TransportSocket,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.listener.v3 import (
    AdditionalAddress,
    Filter,
    FilterChain,
    Listener,
)
from envoy_data_plane.envoy.extensions.filters.http.buffer.v3 import Buffer
from envoy_data_plane.envoy.extensions.filters.http.cors.v3 import Cors
from envoy_data_plane.envoy.extensions.filters.http.grpc_web.v3 import GrpcWeb
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import (
    HeaderMutation as HeaderMutationFilter,
)
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import (
    Mutations,
)
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerCodecType,
    HttpConnectionManagerForwardClientCertDetails,
    HttpConnectionManagerInternalAddressConfig,
    HttpConnectionManagerPathWithEscapedSlashesAction,
    HttpConnectionManagerSetCurrentClientCertDetails,
    HttpFilter,
    LocalReplyConfig,
    Rds,
)
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import (
    HeaderMutation as EarlyHeaderMutation,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.envoy.type.v3 import Percent

from gateway import strict
from mesh import catalog
from mesh.control.resources import (
    compression,
    edge_routes,
    faults,
    limits,
    names,
    retries,
    secrets,
    strict_tokens,
    strictness,
    tags,
    windows,
)
from mesh.control.resources.filters import AUDIENCE, CLAIMS, CLAIMS_OF, MAX_BODY_BYTES
from mesh.control.resources.routes import STREAM_IDLE_S
from mesh.control.wire import (
    fitting,
    from_control,
    header,
    loopback,
    pack,
    pack_known,
    pipe,
    seconds,
)

_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_TYPES = {
    names.FORM: f"{_FILTERS}.rbac.v3.RBAC",
    names.JWT: f"{_FILTERS}.jwt_authn.v3.JwtAuthentication",
    names.LIMITS: f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit",
    names.TRANSCODER: f"{_FILTERS}.grpc_json_transcoder.v3.GrpcJsonTranscoder",
}
_RBAC = f"{_FILTERS}.rbac.v3.RBAC"
SOCKET_MODE = 0o600
FROM_OUTSIDE = (strict.HEADER, catalog.DEVELOPER_HEADER, catalog.CONSISTENCY_HEADER)
"""What the world may say of the headers that are ours."""
AGE_JITTER_PERCENT = 20.0
MAX_HEADERS_KIB, MAX_HEADERS = 32, 100
MOST_STREAMS = 20_000
HANDSHAKE_S = 10
# A day: on a developer's machine it holds for all of `localhost`, whatever else is there.
HSTS_S = 86_400


def edge(
    host: str,
    port: int,
    replies: LocalReplyConfig,
    proof: str,
    tls: str = "",
    *,
    trusted_hops: int = 0,
    limiter_timeout_s: float,
) -> Listener:
    """The one port that the world sees: HTTP/1.1, HTTP/2, gRPC and gRPC-Web."""
    manager = HttpConnectionManager(
        stat_prefix="edge",
        codec_type=HttpConnectionManagerCodecType.AUTO,
        rds=_routes(names.EDGE_ROUTES),
        http_filters=_edge_filters(proof, tls, limiter_timeout_s),
        local_reply_config=replies,
        server_name="palestra",
        # Who sends is the address of the connection; what the client says is not believed.
        use_remote_address=True,
        # But what so many proxies of ours before us say is.
        xff_num_trusted_hops=trusted_hops,
        internal_address_config=HttpConnectionManagerInternalAddressConfig(),
        early_header_mutation_extensions=[_outsiders_headers()],
        always_set_request_id_in_response=True,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=(
            HttpConnectionManagerPathWithEscapedSlashesAction.REJECT_REQUEST
        ),
        common_http_protocol_options=_from_outside(),
        http2_protocol_options=_http2_from_outside(),
        # A token has at most 4 KiB, and few headers more are any use here.
        max_request_headers_kb=MAX_HEADERS_KIB,
        request_headers_timeout=seconds(10),
        # Until the request is whole, or its answer begins: a stream's does at once.
        request_timeout=seconds(STREAM_IDLE_S),
        stream_idle_timeout=seconds(STREAM_IDLE_S),
    )
    address = Address(socket_address=SocketAddress(address=host, port_value=port))
    secured = secrets.site_side(tls) if tls else None
    listener = _listener(names.EDGE_LISTENER, address, manager, secured)
    listener.filter_chains[0].transport_socket_connect_timeout = seconds(HANDSHAKE_S)
    listener.per_connection_buffer_limit_bytes = MAX_BODY_BYTES
    # Two stacks on one port must collide, not share it.
    listener.enable_reuse_port = False
    return listener


def inbound(
    service: str, socket: str, replies: LocalReplyConfig, connection_age_s: float, port: int = 0
) -> Listener:
    """How a service is reached: with a certificate of ours, by whom the contract names.

    Callers change their connections by themselves, at half of this age; the others are
    told to. Streams go on until they end. At a `port` of loopback as well, where one is given.
    """
    manager = HttpConnectionManager(
        stat_prefix=names.inbound(service),
        codec_type=HttpConnectionManagerCodecType.HTTP2,
        http2_protocol_options=windows.inside(),
        rds=_routes(names.inbound(service)),
        http_filters=[
            _pushed(names.callers(service), _RBAC),
            _fixed(faults.FILTER, faults.none()),
            _router(),
        ],
        local_reply_config=replies,
        forward_client_cert_details=(HttpConnectionManagerForwardClientCertDetails.SANITIZE_SET),
        set_current_client_cert_details=HttpConnectionManagerSetCurrentClientCertDetails(uri=True),
        preserve_external_request_id=True,
        stream_idle_timeout=seconds(STREAM_IDLE_S),
        common_http_protocol_options=HttpProtocolOptions(
            max_connection_duration=seconds(connection_age_s),
            max_connection_duration_jitter=Percent(value=AGE_JITTER_PERCENT),
        ),
    )
    address = pipe(socket, SOCKET_MODE)
    made = _listener(names.inbound(service), address, manager, secrets.server_side(service))
    if port:
        made.additional_addresses = [AdditionalAddress(address=loopback(port))]
    return made


def outbound(workload: str, socket: str, replies: LocalReplyConfig) -> Listener:
    """Where a workload's own processes hand in their calls, in plaintext."""
    manager = HttpConnectionManager(
        stat_prefix=names.outbound(workload),
        codec_type=HttpConnectionManagerCodecType.HTTP2,
        # One connection carries all that a process has under way, long streams too.
        http2_protocol_options=windows.inside(MOST_STREAMS),
        rds=_routes(names.outbound(workload)),
        http_filters=[_throttle(), _router()],
        local_reply_config=replies,
        preserve_external_request_id=True,
        stream_idle_timeout=seconds(STREAM_IDLE_S),
    )
    return _listener(names.outbound(workload), pipe(socket, SOCKET_MODE), manager, None)


def _listener(
    name: str, address: Address, manager: HttpConnectionManager, tls: TransportSocket | None
) -> Listener:
    network = Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=pack_known(manager)
    )
    chain = FilterChain(filters=[network], transport_socket=tls)
    return Listener(name=name, address=address, filter_chains=[chain])


def _edge_filters(proof: str, tls: str, limiter_timeout_s: float) -> list[HttpFilter]:
    # Answers pass in the opposite order: the headers are stripped of what the
    # transcoder leaves, and browsers may read even a refusal.
    return [
        _fixed(edge_routes.CORS, Cors()),
        *compression.as_filters(),
        _fixed("grpc-web", GrpcWeb()),
        _pushed(names.FORM, _TYPES[names.FORM]),
        _pushed(names.JWT, _TYPES[names.JWT]),
        strict_tokens.claims(AUDIENCE, CLAIMS_OF, CLAIMS),
        # Before those that count, so that it sees in answers what they said.
        _fixed(names.TOLD_LIMITS, HeaderMutationFilter()),
        _pushed(names.LIMITS, _TYPES[names.LIMITS]),
        limits.shared(seconds(limiter_timeout_s)),
        _fixed(edge_routes.BUFFER, Buffer(max_request_bytes=MAX_BODY_BYTES)),
        _fixed(edge_routes.STRIP, _of_every_answer(tls)),
        strictness.as_filter(proof),
        _pushed(names.TRANSCODER, _TYPES[names.TRANSCODER]),
        tags.as_filter(),
        _throttle(),
        _router(),
    ]


def _of_every_answer(tls: str) -> HeaderMutationFilter:
    if not tls:
        return HeaderMutationFilter()
    lasting = HeaderMutation(append=header("strict-transport-security", f"max-age={HSTS_S}"))
    return HeaderMutationFilter(mutations=Mutations(response_mutations=[lasting]))


def _fixed(name: str, config: betterproto2.Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=pack(config))


def _pushed(name: str, type_url: str) -> HttpFilter:
    source = ExtensionConfigSource(config_source=from_control(), type_urls=[type_url])
    return HttpFilter(name=name, config_discovery=source)


def _throttle() -> HttpFilter:
    return _fixed(retries.FILTER, retries.throttle(each.name for each in catalog.SERVICES))


def _router() -> HttpFilter:
    return _fixed("envoy.filters.http.router", Router(suppress_envoy_headers=True))


def _routes(name: str) -> Rds:
    return Rds(config_source=from_control(), route_config_name=name)


def _outsiders_headers() -> TypedExtensionConfig:
    """Takes away what only the mesh itself may say."""
    ours: Sequence[StringMatcher] = (
        *(
            StringMatcher(safe_regex=fitting(each))
            for each in _all_but("x-palestra-", FROM_OUTSIDE)
        ),
        StringMatcher(prefix="x-envoy-", ignore_case=True),
        StringMatcher(exact="x-forwarded-client-cert", ignore_case=True),
        StringMatcher(exact="x-request-id", ignore_case=True),
        # What gRPC cannot carry would end the call in the service's library.
        StringMatcher(safe_regex=fitting(".*[^0-9A-Za-z_.:-].*")),
        StringMatcher(suffix="-bin", ignore_case=True),
    )
    mutations = [
        HeaderMutation(remove_on_match=HeaderMutationRemoveOnMatch(key_matcher=matcher))
        for matcher in ours
    ]
    return TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation",
        typed_config=pack(EarlyHeaderMutation(mutations=mutations)),
    )


def _all_but(prefix: str, kept: Collection[str]) -> Iterator[str]:
    """Regexes that fit every name with the prefix but some; RE2 cannot say "not" by itself.

    One for each first letter: Envoy takes no regex whose program is long.
    """
    rests = {name.removeprefix(prefix) for name in kept}
    letters = sorted({rest[0] for rest in rests})
    for letter in letters:
        yield f"{prefix}{letter}{_other_than({r[1:] for r in rests if r[0] == letter})}"
    yield f"{prefix}(?:[^{''.join(letters)}].*)?"


def _other_than(rests: set[str]) -> str:
    following = sorted({each[0] for each in rests if each})
    if not following:
        return ".+"
    longer = [
        f"{letter}{_other_than({each[1:] for each in rests if each.startswith(letter)})}"
        for letter in following
    ]
    other = f"[^{''.join(following)}].*"
    # Itself it is another, unless it is one of those that are kept.
    return f"(?:{'|'.join([*longer, other])}){'' if '' in rests else '?'}"


def _from_outside() -> HttpProtocolOptions:
    return HttpProtocolOptions(
        idle_timeout=seconds(STREAM_IDLE_S),
        max_headers_count=MAX_HEADERS,
        # To some on the way `a_b` and `a-b` are one header.
        headers_with_underscores_action=(
            HttpProtocolOptionsHeadersWithUnderscoresAction.REJECT_REQUEST
        ),
    )


def _http2_from_outside() -> Http2ProtocolOptions:
    return Http2ProtocolOptions(
        max_concurrent_streams=256,
        initial_stream_window_size=1 << 16,
        initial_connection_window_size=1 << 20,
        # A phone that went away is noticed; its stream is resumed elsewhere.
        connection_keepalive=KeepaliveSettings(interval=seconds(30), timeout=seconds(10)),
    )
