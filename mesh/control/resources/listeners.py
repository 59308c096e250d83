"""Where requests come in, and the order of the filters that they pass.

Owns the listeners, which are static after start: a changed listener drains its
streams. What may change is named here and pushed apart: routes and filters.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    KeepaliveSettings,
    SocketAddress,
    TransportSocket,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.extensions.filters.http.buffer.v3 import Buffer
from envoy_data_plane.envoy.extensions.filters.http.cors.v3 import Cors
from envoy_data_plane.envoy.extensions.filters.http.grpc_web.v3 import GrpcWeb
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import (
    HeaderMutation as HeaderMutationFilter,
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

from mesh.control.resources import edge_routes, names, secrets
from mesh.control.resources.filters import MAX_BODY_BYTES
from mesh.control.resources.routes import STREAM_IDLE_S
from mesh.control.wire import from_control, pack, pipe, seconds

_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_TYPES = {
    names.JWT: f"{_FILTERS}.jwt_authn.v3.JwtAuthentication",
    names.LIMITS: f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit",
    names.TRANSCODER: f"{_FILTERS}.grpc_json_transcoder.v3.GrpcJsonTranscoder",
}
_RBAC = f"{_FILTERS}.rbac.v3.RBAC"
SOCKET_MODE = 0o600


def edge(host: str, port: int, replies: LocalReplyConfig) -> Listener:
    """The one port that the world sees: HTTP/1.1, HTTP/2, gRPC and gRPC-Web."""
    manager = HttpConnectionManager(
        stat_prefix="edge",
        codec_type=HttpConnectionManagerCodecType.AUTO,
        rds=_routes(names.EDGE_ROUTES),
        http_filters=_edge_filters(),
        local_reply_config=replies,
        server_name="palestra",
        # Who sends is the address of the connection; what the client says is not believed.
        use_remote_address=True,
        internal_address_config=HttpConnectionManagerInternalAddressConfig(),
        early_header_mutation_extensions=[_outsiders_headers()],
        always_set_request_id_in_response=True,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=(
            HttpConnectionManagerPathWithEscapedSlashesAction.REJECT_REQUEST
        ),
        common_http_protocol_options=HttpProtocolOptions(idle_timeout=seconds(STREAM_IDLE_S)),
        http2_protocol_options=_http2_from_outside(),
        request_headers_timeout=seconds(10),
        stream_idle_timeout=seconds(STREAM_IDLE_S),
    )
    address = Address(socket_address=SocketAddress(address=host, port_value=port))
    listener = _listener(names.EDGE_LISTENER, address, manager, None)
    listener.per_connection_buffer_limit_bytes = MAX_BODY_BYTES
    # Two stacks on one port must collide, not share it.
    listener.enable_reuse_port = False
    return listener


def inbound(service: str, socket: str, replies: LocalReplyConfig) -> Listener:
    """How a service is reached: with a certificate of ours, by whom the contract names."""
    manager = HttpConnectionManager(
        stat_prefix=names.inbound(service),
        codec_type=HttpConnectionManagerCodecType.HTTP2,
        rds=_routes(names.inbound(service)),
        http_filters=[_pushed(names.callers(service), _RBAC), _router()],
        local_reply_config=replies,
        forward_client_cert_details=(HttpConnectionManagerForwardClientCertDetails.SANITIZE_SET),
        set_current_client_cert_details=HttpConnectionManagerSetCurrentClientCertDetails(uri=True),
        preserve_external_request_id=True,
        stream_idle_timeout=seconds(STREAM_IDLE_S),
    )
    address = pipe(socket, SOCKET_MODE)
    return _listener(names.inbound(service), address, manager, secrets.server_side(service))


def outbound(service: str, socket: str, replies: LocalReplyConfig) -> Listener:
    """Where a service's own processes hand in their calls, in plaintext."""
    manager = HttpConnectionManager(
        stat_prefix=names.outbound(service),
        codec_type=HttpConnectionManagerCodecType.HTTP2,
        rds=_routes(names.outbound(service)),
        http_filters=[_router()],
        local_reply_config=replies,
        preserve_external_request_id=True,
        stream_idle_timeout=seconds(STREAM_IDLE_S),
    )
    return _listener(names.outbound(service), pipe(socket, SOCKET_MODE), manager, None)


def _listener(
    name: str, address: Address, manager: HttpConnectionManager, tls: TransportSocket | None
) -> Listener:
    network = Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=pack(manager)
    )
    chain = FilterChain(filters=[network], transport_socket=tls)
    return Listener(name=name, address=address, filter_chains=[chain])


def _edge_filters() -> list[HttpFilter]:
    # Answers pass in the opposite order: the headers are stripped of what the
    # transcoder leaves, and browsers may read even a refusal.
    return [
        _fixed(edge_routes.CORS, Cors()),
        _fixed("grpc-web", GrpcWeb()),
        _pushed(names.JWT, _TYPES[names.JWT]),
        _pushed(names.LIMITS, _TYPES[names.LIMITS]),
        _fixed(edge_routes.BUFFER, Buffer(max_request_bytes=MAX_BODY_BYTES)),
        _fixed(edge_routes.STRIP, HeaderMutationFilter()),
        _pushed(names.TRANSCODER, _TYPES[names.TRANSCODER]),
        _router(),
    ]


def _fixed(name: str, config: betterproto2.Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=pack(config))


def _pushed(name: str, type_url: str) -> HttpFilter:
    source = ExtensionConfigSource(config_source=from_control(), type_urls=[type_url])
    return HttpFilter(name=name, config_discovery=source)


def _router() -> HttpFilter:
    return _fixed("envoy.filters.http.router", Router(suppress_envoy_headers=True))


def _routes(name: str) -> Rds:
    return Rds(config_source=from_control(), route_config_name=name)


def _outsiders_headers() -> TypedExtensionConfig:
    """Takes away what only the mesh itself may say."""
    ours: Sequence[StringMatcher] = (
        StringMatcher(prefix="x-palestra-", ignore_case=True),
        StringMatcher(prefix="x-envoy-", ignore_case=True),
        StringMatcher(exact="x-forwarded-client-cert", ignore_case=True),
        StringMatcher(exact="x-request-id", ignore_case=True),
    )
    mutations = [
        HeaderMutation(remove_on_match=HeaderMutationRemoveOnMatch(key_matcher=matcher))
        for matcher in ours
    ]
    return TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation",
        typed_config=pack(EarlyHeaderMutation(mutations=mutations)),
    )


def _http2_from_outside() -> Http2ProtocolOptions:
    return Http2ProtocolOptions(
        max_concurrent_streams=256,
        initial_stream_window_size=1 << 16,
        initial_connection_window_size=1 << 20,
        # A phone that went away is noticed; its stream is resumed elsewhere.
        connection_keepalive=KeepaliveSettings(interval=seconds(30), timeout=seconds(10)),
    )
