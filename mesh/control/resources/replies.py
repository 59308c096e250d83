"""The edge's and the node proxy's own refusals as Envoy's local replies.

Owns the shape. The table and the words are `gateway.replies`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

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
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Struct

from gateway.replies import Refusal, Reply
from mesh.control.wire import header, pack

_GRPC = HeaderMatcher(name="content-type", string_match=StringMatcher(prefix="application/grpc"))
# The transcoder makes a REST request look like gRPC, but leaves where it came from.
_NOT_TRANSCODED = HeaderMatcher(name="x-envoy-original-path", present_match=True, invert_match=True)
_CEL = "envoy.access_loggers.extension_filters.cel"


def for_edge(replies: Sequence[Reply]) -> LocalReplyConfig:
    """Every refusal twice: as a status with details for gRPC, and as a JSON body."""
    native = (_header(_GRPC), _header(_NOT_TRANSCODED))
    mappers = [each for reply in replies for each in (_grpc(reply, *native), _rest(reply))]
    return LocalReplyConfig(mappers=mappers)


def for_node(replies: Sequence[Reply]) -> LocalReplyConfig:
    """Every refusal as a status with details: nothing but gRPC comes this far."""
    return LocalReplyConfig(mappers=[_grpc(reply) for reply in replies])


def _header(matcher: HeaderMatcher) -> AccessLogFilter:
    return AccessLogFilter(header_filter=HeaderFilter(matcher))


def _grpc(reply: Reply, *native: AccessLogFilter) -> ResponseMapper:
    # The text is percent-encoded into grpc-message by Envoy itself.
    return ResponseMapper(
        filter=_all(*_when(reply.refusal), *native),
        body_format_override=SubstitutionFormatString(
            text_format_source=DataSource(inline_string=reply.message.replace("%", "%%"))
        ),
        headers_to_add=[header("grpc-status-details-bin", reply.status_details), *_also(reply)],
    )


def _rest(reply: Reply) -> ResponseMapper:
    return ResponseMapper(
        filter=_all(*_when(reply.refusal)),
        body_format_override=SubstitutionFormatString(
            json_format=Struct.from_dict(json.loads(json.dumps(reply.json))),
            content_type="application/json",
        ),
        headers_to_add=_also(reply),
    )


def _also(reply: Reply) -> list[HeaderValueOption]:
    wait = reply.refusal.retry_after_s
    return [header("retry-after", str(wait))] if wait else []


def _when(refusal: Refusal) -> Iterator[AccessLogFilter]:
    yield _status(ComparisonFilterOp.GE, refusal.lowest)
    yield _status(ComparisonFilterOp.LE, refusal.highest)
    if refusal.details:
        expression = f"response.code_details.contains({json.dumps(refusal.details)})"
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
