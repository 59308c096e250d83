"""What Envoy's own refusals say: a contract reason for each, for REST and gRPC alike.

Owns the table from Envoy's status and detail to the mesh's error reasons. The
words are the contract's. Never touches what a service answers.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import any_pb2, duration_pb2, json_format
from google.rpc import error_details_pb2, status_pb2

from mesh.policy import MESH_DOMAIN, Contract, Meaning


class Wait(enum.Enum):
    """What knows when a refused caller may come back."""

    FIXED = enum.auto()
    """The table: `retry_after_s`, or nothing where that is 0."""
    ROUTE = enum.auto()
    """The limit of the route that the call took."""
    LIMITER = enum.auto()
    """The limiter, in what it answered the edge."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """When Envoy refuses with one of these, this is the reason."""

    reason: str
    """A reason of the mesh's contract, `TOKEN_EXPIRED`."""
    lowest: int
    """The HTTP statuses from here …"""
    highest: int
    """… to here, both included."""
    details: str = ""
    """What Envoy's response code details contain; empty for any."""
    grpc_code: int | None = None
    """What Envoy tells gRPC clients, where it is not the reason's own code."""
    code: int | None = None
    """What both are told instead of the reason's own code."""
    own_words: bool = False
    """Whether Envoy's words say more than the contract's: which parameter, say."""
    verbatim: bool = False
    """Whether a part of ours wrote the whole body, for REST."""
    retry_after_s: int = 0
    wait: Wait = Wait.FIXED
    """What says when to come back."""
    status: int | None = None
    """The HTTP status that goes out, where it is not Envoy's; gRPC clients are told what
    Envoy makes of it, unless `grpc_code` says otherwise."""
    injected: str = ""
    """The name of the code that a fault on purpose asks for; empty for what is none."""


# Envoy maps 400 to INTERNAL and what it has no mapping for to UNKNOWN; the
# details must carry the same code as the status beside them.
_INTERNAL, _UNKNOWN, _UNAVAILABLE = 13, 2, 14

# The first that fits counts.
REFUSALS: tuple[Refusal, ...] = (
    Refusal("TOKEN_MISSING", 401, 401, "jwt_authn_access_denied{Jwt_is_missing"),
    Refusal("TOKEN_EXPIRED", 401, 401, "jwt_authn_access_denied{Jwt_is_expired"),
    Refusal("TOKEN_INVALID", 401, 401),
    Refusal("TOKEN_INVALID", 403, 403, "jwt_authn_access_denied", status=401),
    Refusal("TOKEN_INVALID", 403, 403, "matched_policy[edge-token-form]", status=401),
    Refusal("CALLER_REFUSED", 403, 403),
    Refusal("METHOD_UNKNOWN", 404, 405),
    Refusal("DEADLINE_EXCEEDED", 408, 408),
    Refusal("OVERLOADED", 429, 429, "local_rate_limited", wait=Wait.ROUTE),
    Refusal("OVERLOADED", 429, 429, "request_rate_limited", wait=Wait.LIMITER),
    Refusal("OVERLOADED", 429, 429, retry_after_s=1),
    Refusal("INVALID_FIELD", 400, 400, "ext_authz_denied", grpc_code=_INTERNAL, verbatim=True),
    # Only these two come with words: which field or parameter, and what is too large.
    Refusal("INVALID_FIELD", 400, 400, "grpc_json_transcode", grpc_code=_INTERNAL, own_words=True),
    Refusal("INVALID_FIELD", 413, 413, grpc_code=_UNKNOWN, own_words=True),
    Refusal("INVALID_FIELD", 400, 400, grpc_code=_INTERNAL),
    Refusal("INVALID_FIELD", 402, 499, grpc_code=_UNKNOWN),
    # A circuit breaker of the service's: others are served, and so is this in a moment.
    Refusal("OVERLOADED", 503, 503, "overflow", code=_UNAVAILABLE, retry_after_s=1),
    Refusal("UNAVAILABLE", 502, 503),
    Refusal("DEADLINE_EXCEEDED", 504, 504, "max_duration_timeout"),
    Refusal("DEADLINE_EXCEEDED", 504, 504, grpc_code=_UNAVAILABLE),
    # A transfer coding that nobody knows: the client's fault, not the server's.
    Refusal("INVALID_FIELD", 501, 501, grpc_code=_UNKNOWN, status=400),
    Refusal("UNEXPECTED", 500, 599, grpc_code=_UNKNOWN),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A refusal with the words that go out."""

    refusal: Refusal
    json: Mapping[str, Any]
    """The REST body, google.rpc.Status as JSON; without when to come back, if not `FIXED`."""
    message: str
    """What gRPC clients get as grpc-message."""
    status_details: str
    """google.rpc.Status for grpc-status-details-bin, in base64."""


def replies(contract: Contract) -> tuple[Reply, ...]:
    """The replies in the order of `REFUSALS`.

    Raises:
        KeyError: the contract has no such reason.
    """
    return tuple(_reply(each, contract.meanings[MESH_DOMAIN, each.reason]) for each in REFUSALS)


def injected(contract: Contract, codes: Mapping[str, int]) -> tuple[Reply, ...]:
    """What faults on purpose answer, by the name of the gRPC code: that they are such.

    Raises:
        KeyError: the contract has no such reason.
    """
    meaning = contract.meanings[MESH_DOMAIN, "FAULT_INJECTED"]
    filtered = "fault_filter_abort"
    return tuple(
        _reply(Refusal(meaning.reason, 0, 599, filtered, code=code, injected=name), meaning)
        for name, code in codes.items()
    )


def _reply(refusal: Refusal, meaning: Meaning) -> Reply:
    status = status_of(meaning, retry_after_s=refusal.retry_after_s)
    status.code = meaning.code if refusal.code is None else refusal.code
    body = json_format.MessageToDict(status)
    if refusal.own_words:
        body["message"] = "%LOCAL_REPLY_BODY%"
    if refusal.grpc_code is not None:
        status.code = refusal.grpc_code
    details = base64.b64encode(status.SerializeToString()).decode()
    return Reply(refusal, body, status.message, details)


def status_of(meaning: Meaning, *, retry_after_s: int = 0) -> status_pb2.Status:
    """The status that travels with a reason: one ErrorInfo, a message per language.

    With a RetryInfo where it is known when to come back.
    """
    status = status_pb2.Status(code=meaning.code, message=meaning.en)
    info = error_details_pb2.ErrorInfo(reason=meaning.reason, domain=meaning.domain)
    said = (("en", meaning.en), ("ru", meaning.ru))
    texts = [error_details_pb2.LocalizedMessage(locale=tag, message=text) for tag, text in said]
    retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=retry_after_s))
    for detail in (info, *texts, *([retry] if retry_after_s else [])):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status
