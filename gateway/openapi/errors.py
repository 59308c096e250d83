"""What a method's refusals are: an HTTP status, the reasons behind it, their words.

Owns which of the mesh's own reasons a method can answer with, derived from its policy and
its request; its domain's reasons the contract names. Never invents a reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from google.protobuf import json_format

from gateway.http_statuses import HTTP_STATUSES
from gateway.openapi import headers
from gateway.openapi.scalars import Schema
from gateway.replies import status_of
from mesh import policy
from mesh.policy import MESH_DOMAIN, Contract, HttpRule, Meaning, Method
from palestra.mesh.v1 import policy_pb2

_TYPE = "type.googleapis.com/google.rpc."
ERROR: Schema = {
    "type": "object",
    "description": "A google.rpc.Status with exactly one ErrorInfo among its details.",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "format": "int32", "description": "A google.rpc.Code."},
        "message": {
            "type": "string",
            "description": "For developers, in English; LocalizedMessage is for people.",
        },
        "details": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/ErrorDetail"},
            "contains": {
                "properties": {
                    "@type": {"const": f"{_TYPE}ErrorInfo"},
                    "reason": {"type": "string"},
                    "domain": {"type": "string"},
                },
                "required": ["@type", "reason", "domain"],
            },
            "minContains": 1,
            "maxContains": 1,
        },
    },
}
DETAIL: Schema = {
    "type": "object",
    "description": "ErrorInfo (why), LocalizedMessage (in a person's language), BadRequest "
    "(which fields) or RetryInfo (when to try again), as `@type` says.",
    "required": ["@type"],
    "properties": {
        "@type": {"type": "string", "examples": [f"{_TYPE}ErrorInfo"]},
        "reason": {"type": "string", "description": "ErrorInfo: stable, one of the contract's."},
        "domain": {"type": "string", "description": "ErrorInfo: whose reason it is."},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "locale": {"type": "string", "description": "LocalizedMessage: `en` or `ru`."},
        "message": {"type": "string", "description": "LocalizedMessage: for people."},
        "fieldViolations": {
            "type": "array",
            "description": "BadRequest: each field at fault, and why.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
            },
        },
        "retryDelay": {"type": "string", "description": "RetryInfo: `0.500s`."},
    },
}


def responses(contract: Contract, method: Method, rule: HttpRule) -> dict[str, Schema]:
    """The refusals of a mapping by HTTP status, in order."""
    by_status: dict[int, list[Meaning]] = defaultdict(list)
    for status, meaning in _refusals(contract, method, rule):
        if meaning not in by_status[status]:
            by_status[status].append(meaning)
    return {
        str(status): _response(method, status, meanings)
        for status, meanings in sorted(by_status.items())
    }


def _refusals(contract: Contract, method: Method, rule: HttpRule) -> Iterator[tuple[int, Meaning]]:
    for reason in method.policy.errors:
        meaning = contract.meanings[method.domain, reason]
        yield HTTP_STATUSES[meaning.code], meaning
    for reason, status in _of_mesh(method, rule):
        meaning = contract.meanings[MESH_DOMAIN, reason]
        yield status or HTTP_STATUSES[meaning.code], meaning


def _of_mesh(method: Method, rule: HttpRule) -> Iterator[tuple[str, int]]:
    """The mesh's reasons; with the status where the edge's is not the reason's own."""
    rules, request = method.policy, method.descriptor.input_type.fields_by_name
    yield "INVALID_FIELD", 0
    if rules.access != policy.PUBLIC:
        yield from ((f"TOKEN_{why}", 0) for why in ("MISSING", "INVALID", "EXPIRED", "REVOKED"))
        # A token for somebody else's audience is a good token, but not ours.
        yield "TOKEN_INVALID", HTTPStatus.FORBIDDEN
        yield "CONSISTENCY_TOKEN_INVALID", 0
    yield from ((reason, 0) for reason in _of_access(rules))
    if "page_token" in request:
        yield "PAGE_TOKEN_INVALID", 0
    if "filter" in request or "order_by" in request:
        yield "FILTER_INVALID", 0
    if method.policy.repeat != policy.READ and headers.knows_etag(method):
        yield "ETAG_MISMATCH", 0
    if rules.repeat in (policy_pb2.REPEAT_KEYED, policy_pb2.REPEAT_STORED):
        yield "REQUEST_ID_REUSED", 0
    if "{" in rule.path:
        # What stands in the path can make it another path, which leads nowhere.
        yield "METHOD_UNKNOWN", HTTPStatus.NOT_FOUND
    if rule.body:
        yield "INVALID_FIELD", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    yield from (("OVERLOADED", 0), ("OVERLOADED", HTTPStatus.SERVICE_UNAVAILABLE))
    yield from (("UNEXPECTED", 0), ("UNAVAILABLE", 0), ("DEADLINE_EXCEEDED", 0))


def _of_access(rules: policy_pb2.Policy) -> Iterator[str]:
    if rules.scope:
        yield "SCOPE_MISSING"
    if rules.owner and rules.others == policy_pb2.OTHERS_DENY:
        yield "NOT_OWNER"
    if rules.access == policy.ROLE or rules.others == policy_pb2.OTHERS_ROLE:
        yield "ROLE_MISSING"
    if rules.requires_plan:
        yield "PLAN_MISSING"
    if rules.fresh_auth_s:
        yield "SIGN_IN_TOO_OLD"


_ALSO = {401: ("www-authenticate",), 429: ("retry-after",), 503: ("retry-after",)}


def _response(method: Method, status: int, meanings: list[Meaning]) -> Schema:
    lines = [f"- `{m.reason}` ({m.domain}): {m.en} {m.ru}" for m in meanings]
    reasons = [meaning.reason for meaning in meanings]
    told = {"contains": {"properties": {"reason": {"enum": reasons}}, "required": ["reason"]}}
    return {
        "description": f"{HTTPStatus(status).phrase}.\n\n" + "\n".join(lines),
        "headers": headers.of_answer(method, *_ALSO.get(status, ())),
        "content": {
            "application/json": {
                "schema": {
                    "allOf": [{"$ref": "#/components/schemas/Error"}],
                    "properties": {"details": told},
                },
                "examples": {m.reason: {"summary": m.en, "value": example(m)} for m in meanings},
            }
        },
        "x-palestra-reasons": [
            {"reason": m.reason, "domain": m.domain, "en": m.en, "ru": m.ru} for m in meanings
        ],
    }


def example(meaning: Meaning) -> dict[str, Any]:
    """The whole error that travels with a reason."""
    return json_format.MessageToDict(status_of(meaning))
