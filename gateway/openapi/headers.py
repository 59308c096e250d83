"""The headers that requests may have and answers do, beside HTTP's own."""

from __future__ import annotations

from gateway import limits, strict
from gateway.openapi.scalars import Schema
from mesh import catalog, policy
from mesh.policy import HttpRule, Method

_PREFIX = "#/components/headers/"
_TAG = r'^(|\*|(W/)?"[!#-~]{1,200}"(, (W/)?"[!#-~]{1,200}"){0,9})$'
_ONE_TAG = r'^(|\*|(W/)?"[!#-~]{1,200}")$'


def _header(description: str, schema: Schema, example: object) -> Schema:
    return {"description": description, "schema": schema, "example": example}


_NUMBER: Schema = {"type": "integer", "minimum": 0}
HEADERS: dict[str, Schema] = {
    "x-request-id": _header(
        "The request's id; name it when you ask us about it.",
        {"type": "string"},
        "0bda2452-e754-4fed-b9d1-f9a6eab5dd88",
    ),
    limits.POLICY_FIELD: _header(
        "By what calls are counted, how many (`q`) in how many seconds (`w`).",
        {"type": "string"},
        '"user";q=600;w=60',
    ),
    limits.STATE_FIELD: _header(
        "The calls that pass now (`r`) and, where none does, the seconds until one does (`t`). "
        "Absent where the call was not counted.",
        {"type": "string"},
        '"user";r=599',
    ),
    limits.LIMIT_HEADER: _header(
        "The calls that the window allows. Absent, as the two below, where `ratelimit` is.",
        _NUMBER,
        600,
    ),
    limits.REMAINING_HEADER: _header("The calls that pass now.", _NUMBER, 599),
    limits.RESET_HEADER: _header(
        "Seconds until one more call passes; 0 where one passes now.", _NUMBER, 0
    ),
    "retry-after": _header("Seconds to wait before the next try.", _NUMBER, 1),
    "www-authenticate": _header(
        "That a bearer token is asked for.", {"type": "string"}, 'Bearer realm="/v1/users/me"'
    ),
    "etag": _header(
        "Changes whenever the answer does; send it back in `If-None-Match`.",
        {"type": "string"},
        '"1.4a1XrWcYVZmkAOlU"',
    ),
    "cache-control": _header(
        "How long the answer may be kept, by whom.", {"type": "string"}, "private, no-cache"
    ),
}


def of_answer(method: Method, *more: str) -> Schema:
    """References to the headers of an answer."""
    limited = limits.HEADERS if method.policy.HasField("limit") else ()
    return {name: {"$ref": _PREFIX + name} for name in ("x-request-id", *limited, *more)}


def of_request(method: Method, rule: HttpRule) -> list[Schema]:
    """The header parameters of a mapping."""
    found = []
    if rule.verb == "GET" and method.policy.HasField("cache"):
        found.append(
            _parameter(
                "If-None-Match",
                "An answer's `ETag`: what is still the same is not sent again (304).",
                {"type": "string", "pattern": _TAG},
            )
        )
    if method.policy.repeat != policy.READ and knows_etag(method):
        found.append(
            _parameter(
                "If-Match",
                "The `ETag` that was read: a newer change is not overwritten. "
                "Does what the `etag` field does.",
                {"type": "string", "pattern": _ONE_TAG},
            )
        )
    if method.policy.access != policy.PUBLIC:
        found.append(
            _parameter(
                catalog.CONSISTENCY_HEADER,
                "The `consistencyToken` of your own changes: nothing is answered from before them. "
                "Up to four, with commas between.",
                {"type": "string", "maxLength": 256},
            )
        )
    if rule.body and rule.verb in strict.VERBS:
        found.append(
            _parameter(
                strict.HEADER,
                "`1` refuses fields of the body that the contract does not know, "
                "which are passed over otherwise.",
                {"type": "string", "enum": [strict.ASKED]},
            )
        )
    return found


def knows_etag(method: Method) -> bool:
    """Whether the method's request says which version of a resource it means."""
    request = method.descriptor.input_type
    return policy.has_etag(request) or bool(policy.etag_holder(request))


def _parameter(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": schema}
