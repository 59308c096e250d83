"""The edge's and the node proxy's own refusals as Envoy's local replies.

Owns the shape. The table and the words are `gateway.replies`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from envoy_data_plane.envoy.config.accesslog.v3 import (
    AccessLogFilter,
    AndFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    ExtensionFilter,
    HeaderFilter,
    StatusCodeFilter,
)
from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    HeaderValueOption,
    RuntimeUInt32,
    SubstitutionFormatString,
)
from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher
from envoy_data_plane.envoy.extensions.access_loggers.filters.cel.v3 import ExpressionFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    LocalReplyConfig,
    ResponseMapper,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher
from envoy_data_plane.google.protobuf import Struct

from gateway import limits as limit_names
from gateway.replies import Refusal, Reply, Wait
from mesh.control.resources import faults, limits
from mesh.control.wire import final, formatted, header, pack

# What Envoy itself takes for gRPC: `application/grpcx` and `application/grpc; a=b` are none.
_GRPC = HeaderMatcher(
    name="content-type",
    string_match=StringMatcher(safe_regex=RegexMatcher(regex=r"application/grpc(\+.*)?")),
)
# The transcoder makes a REST request look like gRPC, but leaves where it came from.
_NOT_TRANSCODED = HeaderMatcher(name="x-envoy-original-path", present_match=True, invert_match=True)
_AS_WRITTEN = SubstitutionFormatString(
    text_format_source=DataSource(inline_string="%LOCAL_REPLY_BODY%"),
    content_type="application/json",
)
_DETAILS = "grpc-status-details-bin"
_WAIT_S = {Wait.ROUTE: limits.of_route("retry_after_s"), Wait.LIMITER: "%RESP(retry-after)%"}
_CEL = "envoy.access_loggers.extension_filters.cel"


def for_edge(replies: Sequence[Reply]) -> LocalReplyConfig:
    """Every refusal twice: as a status with details for gRPC, and as a JSON body."""
    native = (_header(_GRPC), _header(_NOT_TRANSCODED))
    mappers = [each for reply in replies for each in (_grpc(reply, *native), _rest(reply))]
    return final(LocalReplyConfig(mappers=mappers))


def for_node(replies: Sequence[Reply]) -> LocalReplyConfig:
    """Every refusal as a status with details: nothing but gRPC comes this far."""
    mappers = [_grpc(reply) for reply in replies]
    for mapper, reply in zip(mappers, replies, strict=True):
        mapper.headers_to_add += _for_proxies(reply)
    return final(LocalReplyConfig(mappers=mappers))


def _header(matcher: HeaderMatcher) -> AccessLogFilter:
    return AccessLogFilter(header_filter=HeaderFilter(matcher))


def _grpc(reply: Reply, *native: AccessLogFilter) -> ResponseMapper:
    # The text is percent-encoded into grpc-message by Envoy itself.
    return ResponseMapper(
        filter=_all(*_when(reply.refusal), *native),
        body_format_override=SubstitutionFormatString(
            text_format_source=DataSource(inline_string=reply.message.replace("%", "%%"))
        ),
        headers_to_add=[*_details(reply), *_also(reply)],
        # Envoy makes gRPC's code of it.
        status_code=reply.refusal.status if reply.refusal.grpc_code is None else None,
    )


def _rest(reply: Reply) -> ResponseMapper:
    if reply.refusal.verbatim:
        return ResponseMapper(filter=_all(*_when(reply.refusal)), body_format_override=_AS_WRITTEN)
    return ResponseMapper(
        filter=_all(*_when(reply.refusal)),
        body_format_override=SubstitutionFormatString(
            json_format=Struct.from_dict(json.loads(json.dumps(_body(reply)))),
            content_type="application/json",
        ),
        headers_to_add=_also(reply),
        status_code=reply.refusal.status,
    )


def _body(reply: Reply) -> Mapping[str, Any]:
    known = _WAIT_S.get(reply.refusal.wait)
    if known is None:
        return reply.json
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{known}s"}
    return {**reply.json, "details": [*reply.json["details"], retry]}


def _details(reply: Reply) -> list[HeaderValueOption]:
    match reply.refusal.wait:
        case Wait.LIMITER:
            return []  # the limiter's own are there
        case Wait.ROUTE:
            return [formatted(_DETAILS, limits.of_route("details"))]
        case _:
            return [header(_DETAILS, reply.status_details)]


def _also(reply: Reply) -> list[HeaderValueOption]:
    wait_s = reply.refusal.retry_after_s
    if reply.refusal.wait is not Wait.ROUTE:
        return [header("retry-after", str(wait_s))] if wait_s else []
    told = {
        "retry-after": _WAIT_S[Wait.ROUTE],
        limit_names.STATE_FIELD: limits.of_route(limit_names.STATE_FIELD),
        # Said by routes whose count the edge does not tell of by itself.
        **{name: limits.of_route(name) for name in limit_names.COUNTS},
    }
    return [formatted(name, value) for name, value in told.items()]


def _for_proxies(reply: Reply) -> list[HeaderValueOption]:
    """What keeps the caller's proxy from trying again what was refused for being too much."""
    too_much = reply.refusal.reason == "OVERLOADED"
    return [header("x-envoy-overloaded", "true")] if too_much else []


def _when(refusal: Refusal) -> Iterator[AccessLogFilter]:
    yield _status(ComparisonFilterOp.GE, refusal.lowest)
    yield _status(ComparisonFilterOp.LE, refusal.highest)
    if refusal.details:
        expression = f"response.code_details.contains({json.dumps(refusal.details)})"
        cel = pack(ExpressionFilter(expression=expression))
        yield AccessLogFilter(extension_filter=ExtensionFilter(name=_CEL, typed_config=cel))
    if refusal.injected:
        expression = f"xds.route_name.endsWith({json.dumps(faults.marked('', refusal.injected))})"
        cel = pack(ExpressionFilter(expression=expression))
        yield AccessLogFilter(extension_filter=ExtensionFilter(name=_CEL, typed_config=cel))


def _status(comparison: ComparisonFilterOp, status: int) -> AccessLogFilter:
    # The key names a runtime override that nobody sets; Envoy asks for one.
    value = RuntimeUInt32(default_value=status, runtime_key=f"palestra.reply.{status}")
    return AccessLogFilter(
        status_code_filter=StatusCodeFilter(comparison=ComparisonFilter(comparison, value))
    )


def _all(*filters: AccessLogFilter) -> AccessLogFilter:
    return AccessLogFilter(and_filter=AndFilter(filters=list(filters)))
