"""The errors that callers see, and their making from what came over the wire.

Decides which class an answer becomes. Never repeats or hides a call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"
_MAX_JSON_CHARS = 16_384


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that the server refused."""

    field: str
    """Its path in the request, e.g. `device.display_name`."""
    description: str


class PalestraError(Exception):
    """A call that did not succeed."""

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        reason: str = "",
        domain: str = "",
        field_violations: tuple[FieldViolation, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        """The contract's reason without its prefix, e.g. `ACTIVITY_NOT_FOUND`; empty if unknown."""
        self.domain = domain
        """Whose reason it is, e.g. `training.palestra`."""
        self.field_violations = field_violations
        self.retry_after_s = retry_after_s
        """How long the server asks to wait; None where it does not say."""

    def __str__(self) -> str:
        told = f"{self.message} [{self.reason or self.code.name}]"
        wrong = "; ".join(f"{each.field}: {each.description}" for each in self.field_violations)
        return f"{told} {wrong}".rstrip()


class InvalidArgument(PalestraError):
    """Something that was sent is not valid; see `field_violations`."""


class Unauthenticated(PalestraError):
    """Nobody is signed in, or the sign-in is over."""


class StepUpNeeded(Unauthenticated):
    """The sign-in is too old for this: confirm that it is the same person, and call again."""


class PermissionDenied(PalestraError):
    """The caller may not do this."""


class NotFound(PalestraError):
    """There is no such thing."""


class Conflict(PalestraError):
    """It exists already, or was changed meanwhile, or is in another state."""


class ResourceExhausted(PalestraError):
    """Too many requests, or too many things; see `retry_after_s`."""


class Unavailable(PalestraError):
    """The service could not be reached."""


class DeadlineExceeded(PalestraError):
    """It took longer than the contract allows."""


class Unsupported(PalestraError):
    """The server does not know the method."""


class ServerError(PalestraError):
    """The server failed, or what it sent cannot be understood."""


_CLASSES: dict[grpc.StatusCode, type[PalestraError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNIMPLEMENTED: Unsupported,
    grpc.StatusCode.INTERNAL: ServerError,
    grpc.StatusCode.DATA_LOSS: ServerError,
    grpc.StatusCode.UNKNOWN: ServerError,
}


_BY_REASON: dict[str, type[PalestraError]] = {"SIGN_IN_TOO_OLD": StepUpNeeded}
_CODES = {int(code.value[0]): code for code in grpc.StatusCode}


def class_of(code: grpc.StatusCode) -> type[PalestraError]:
    """The class that a status code becomes."""
    return _CLASSES.get(code, PalestraError)


def error_of(error: grpc.aio.AioRpcError) -> PalestraError:
    """What a failed call says, as one of our errors."""
    text = error.details() or ""
    status = _sent_status(error.trailing_metadata()) or _edge_status(text)
    return _made(error.code(), status, text)


def error_of_status(status: status_pb2.Status) -> PalestraError:
    """What a status that came as a message says, over WebSocket or in a JSON body."""
    return _made(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status, "")


def _made(code: grpc.StatusCode, status: status_pb2.Status | None, text: str) -> PalestraError:
    reason, domain, violations, retry_after_s = _read_details(status)
    return _BY_REASON.get(reason, class_of(code))(
        (status.message if status is not None else "") or text or code.name,
        code=code,
        reason=reason,
        domain=domain,
        field_violations=violations,
        retry_after_s=retry_after_s,
    )


def _sent_status(metadata: Iterable[object] | None) -> status_pb2.Status | None:
    for entry in metadata or ():
        match entry:
            case (str(key), bytes(value)) if key == _DETAILS:
                try:
                    return status_pb2.Status.FromString(value)
                except DecodeError:
                    return None
    return None


def _edge_status(text: str) -> status_pb2.Status | None:
    """The edge's own answers carry their details as JSON in the message."""
    if not text.startswith("{") or len(text) > _MAX_JSON_CHARS:
        return None
    try:
        told = json.loads(text)
        status = status_pb2.Status(message=str(told.get("message", "")))
        for detail in told.get("details", ()):
            if str(detail.get("@type", "")).endswith("google.rpc.ErrorInfo"):
                info = error_details_pb2.ErrorInfo(
                    reason=str(detail.get("reason", "")), domain=str(detail.get("domain", ""))
                )
                status.details.add().Pack(info)
    except (ValueError, AttributeError, TypeError):
        return None
    return status


def _read_details(
    status: status_pb2.Status | None,
) -> tuple[str, str, tuple[FieldViolation, ...], float | None]:
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after_s = None
    for detail in status.details if status is not None else ():
        if detail.Is(retry.DESCRIPTOR):
            detail.Unpack(retry)
            retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
        elif detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
    violations = tuple(FieldViolation(v.field, v.description) for v in bad.field_violations)
    return info.reason, info.domain, violations, retry_after_s
