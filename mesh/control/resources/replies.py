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

GRPC = HeaderMatcher(name="content-type", string_match=StringMatcher(prefix="application/grpc"))
_CEL = "envoy.access_loggers.extension_filters.cel"


def local_replies(replies: Sequence[Reply]) -> LocalReplyConfig:
    """Every refusal twice: as a JSON body, and as a status with details for gRPC."""
    mappers = [mapper for reply in replies for mapper in (_grpc(reply), _rest(reply))]
    return LocalReplyConfig(mappers=mappers)


def _grpc(reply: Reply) -> ResponseMapper:
    # The text is percent-encoded into grpc-message by Envoy itself.
    return ResponseMapper(
        filter=_all(*_when(reply.refusal), AccessLogFilter(header_filter=HeaderFilter(GRPC))),
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
        expression = f"response.code_details.startsWith({json.dumps(refusal.details)})"
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
