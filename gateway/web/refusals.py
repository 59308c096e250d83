"""Errors of the process as everywhere else: google.rpc.Status as JSON, with one ErrorInfo.

Whatever was not foreseen is masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.rpc import status_pb2
from starlette.responses import Response

from gateway.http_statuses import HTTP_STATUSES
from mesh.runtime.errors import MeshError, status_of

# Starlette's own refusals, by HTTP status; the rest are the request's fault.
_ROUTING = {404: "METHOD_UNKNOWN", 405: "METHOD_UNKNOWN"}


def as_json(status: status_pb2.Status) -> bytes:
    """A status as its canonical JSON."""
    import orjson
    from google.protobuf import json_format

    # The types inside a status must be known before they can be written out.
    from google.rpc import error_details_pb2  # noqa: F401

    return orjson.dumps(json_format.MessageToDict(status))


def response(error: BaseException, http_status: int | None = None) -> Response:
    """The answer that tells a client of an error; `http_status` instead of its code's own."""
    status, _ = status_of(error, {})
    headers = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(retry_after_s)))
    return Response(
        as_json(status),
        status_code=http_status or HTTP_STATUSES.get(status.code, 500),
        headers=headers,
        media_type="application/json",
    )


def of_routing(http_status: int, headers: Mapping[str, str] | None, detail: Any) -> Response:
    """The answer instead of Starlette's own words, with its headers (`allow`)."""
    reason = _ROUTING.get(http_status, "INVALID_FIELD")
    answer = response(MeshError(reason, "" if reason in _ROUTING.values() else str(detail)))
    answer.status_code = http_status
    answer.headers.update(headers or {})
    return answer
