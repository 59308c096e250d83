"""What Envoy's own refusals say: a contract reason for each, for REST and gRPC alike.

Owns the table from Envoy's status and detail to the mesh's error reasons. The
words are the contract's. Never touches what a service answers.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2, status_pb2

from mesh.policy import MESH_DOMAIN, Contract, Meaning


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
    own_words: bool = False
    """Whether Envoy's words say more than the contract's: which parameter, say."""
    retry_after_s: int = 0


# Envoy maps 400 to INTERNAL and what it has no mapping for to UNKNOWN; the
# details must carry the same code as the status beside them.
_INTERNAL, _UNKNOWN, _UNAVAILABLE = 13, 2, 14

# The first that fits counts.
REFUSALS: tuple[Refusal, ...] = (
    Refusal("TOKEN_MISSING", 401, 401, "jwt_authn_access_denied{Jwt_is_missing"),
    Refusal("TOKEN_EXPIRED", 401, 401, "jwt_authn_access_denied{Jwt_is_expired"),
    Refusal("TOKEN_INVALID", 401, 401),
    Refusal("TOKEN_INVALID", 403, 403, "jwt_authn_access_denied", grpc_code=7),
    Refusal("CALLER_REFUSED", 403, 403),
    Refusal("METHOD_UNKNOWN", 404, 405),
    Refusal("DEADLINE_EXCEEDED", 408, 408),
    Refusal("OVERLOADED", 429, 429, retry_after_s=1),
    # Only these two come with words: which field or parameter, and what is too large.
    Refusal("INVALID_FIELD", 400, 400, "grpc_json_transcode", grpc_code=_INTERNAL, own_words=True),
    Refusal("INVALID_FIELD", 413, 413, grpc_code=_UNKNOWN, own_words=True),
    Refusal("INVALID_FIELD", 400, 400, grpc_code=_INTERNAL),
    Refusal("INVALID_FIELD", 402, 499, grpc_code=_UNKNOWN),
    Refusal("UNAVAILABLE", 502, 503),
    Refusal("DEADLINE_EXCEEDED", 504, 504, "max_duration_timeout"),
    Refusal("DEADLINE_EXCEEDED", 504, 504, grpc_code=_UNAVAILABLE),
    Refusal("UNEXPECTED", 500, 599, grpc_code=_UNKNOWN),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A refusal with the words that go out."""

    refusal: Refusal
    json: Mapping[str, Any]
    """The REST body, google.rpc.Status as JSON."""
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


def _reply(refusal: Refusal, meaning: Meaning) -> Reply:
    status = status_of(meaning)
    body = json_format.MessageToDict(status)
    if refusal.own_words:
        body["message"] = "%LOCAL_REPLY_BODY%"
    if refusal.grpc_code is not None:
        status.code = refusal.grpc_code
    details = base64.b64encode(status.SerializeToString()).decode()
    return Reply(refusal, body, status.message, details)


def status_of(meaning: Meaning) -> status_pb2.Status:
    """The status that travels with a reason: one ErrorInfo, a message per language."""
    status = status_pb2.Status(code=meaning.code, message=meaning.en)
    info = error_details_pb2.ErrorInfo(reason=meaning.reason, domain=meaning.domain)
    said = (("en", meaning.en), ("ru", meaning.ru))
    texts = [error_details_pb2.LocalizedMessage(locale=tag, message=text) for tag, text in said]
    for detail in (info, *texts):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status
