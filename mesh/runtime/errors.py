"""Errors on the wire: the only place that knows status codes.

`rules.py` raises exceptions that carry a `reason` of the contract; here the
contract's meaning of that reason becomes a `google.rpc.Status` with exactly one
ErrorInfo. Everything else is masked, logged with its trace id, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, Protocol, runtime_checkable

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from mesh import policy
from palestra.mesh.v1 import errors_pb2

# Message and details travel in the trailer, of which gRPC takes 8 KiB.
LONGEST_MESSAGE_BYTES = 600
LONGEST_FIELD_BYTES = 100
LONGEST_VIOLATION_BYTES = 160
MOST_VIOLATIONS = 10
DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_MESH = {
    meaning.reason: meaning
    for meaning in policy.meanings_of(errors_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"])
}


@runtime_checkable
class DomainError(Protocol):
    """What `rules.py` raises: an exception with a reason of its package's contract.

    It may also have `field` (the request field at fault), `retry_after_s` and
    `metadata` (strings that a client can use).
    """

    reason: str


class MeshError(Exception):
    """An error of the platform itself, with a reason of palestra.mesh.v1."""

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        violations: Sequence[tuple[str, str]] = (),
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail
        self.violations = violations
        self.retry_after_s = retry_after_s
        self.metadata = metadata or {}


class Unavailable(MeshError):
    """A part that is needed does not answer now; a repeat may succeed."""

    def __init__(self, detail: str, retry_after_s: float = 0.5) -> None:
        super().__init__("UNAVAILABLE", detail, retry_after_s=retry_after_s)


def invalid_field(field: str, why: str) -> MeshError:
    """A field of the request is at fault."""
    return MeshError("INVALID_FIELD", f"{field}: {why}", violations=[(field, why)])


def status_of(
    error: BaseException, meanings: Mapping[str, policy.Meaning]
) -> tuple[status_pb2.Status, policy.Meaning]:
    """The status that tells a client of `error`, and the meaning behind it.

    `meanings` are those of the service's own domain, by reason.
    """
    if isinstance(error, MeshError) and error.reason in _MESH:
        return _mesh_status(error)
    if isinstance(error, DomainError):
        meaning = meanings.get(error.reason) or _MESH.get(error.reason)
        if meaning is not None:
            return _domain_status(error, meaning)
    if isinstance(error, TimeoutError):
        return _mesh_status(MeshError("DEADLINE_EXCEEDED"))
    if isinstance(error, grpc.RpcError):
        return _passed_on(error)
    return _mesh_status(MeshError("UNEXPECTED"))


def _mesh_status(error: MeshError) -> tuple[status_pb2.Status, policy.Meaning]:
    meaning = _MESH[error.reason]
    return _status(
        meaning, error.detail, error.metadata, error.violations, error.retry_after_s
    ), meaning


def _domain_status(
    error: DomainError, meaning: policy.Meaning
) -> tuple[status_pb2.Status, policy.Meaning]:
    detail = str(error)
    field = getattr(error, "field", "")
    violations = [(field, detail or meaning.en)] if field else []
    return _status(
        meaning,
        detail,
        getattr(error, "metadata", {}),
        violations,
        getattr(error, "retry_after_s", None),
    ), meaning


def _passed_on(error: grpc.RpcError) -> tuple[status_pb2.Status, policy.Meaning]:
    """What another service answered; only "try again" and "too late" are the client's business."""
    code = error.code() if hasattr(error, "code") else None
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return _mesh_status(Unavailable("a service that is needed does not answer"))
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return _mesh_status(MeshError("DEADLINE_EXCEEDED"))
    return _mesh_status(MeshError("UNEXPECTED"))


def _status(
    meaning: policy.Meaning,
    detail: str,
    metadata: Mapping[str, str],
    violations: Sequence[tuple[str, str]],
    retry_after_s: float | None,
) -> status_pb2.Status:
    details: list[any_pb2.Any] = []
    info = error_details_pb2.ErrorInfo(
        reason=meaning.reason, domain=meaning.domain, metadata=metadata
    )
    details.append(_pack(info))
    if violations:
        bad = error_details_pb2.BadRequest()
        for field, why in violations[:MOST_VIOLATIONS]:
            bad.field_violations.add(
                field=_cut(field, LONGEST_FIELD_BYTES),
                description=_cut(why, LONGEST_VIOLATION_BYTES),
            )
        details.append(_pack(bad))
    if retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(retry_after_s * 1000))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    for locale, text in (("en", meaning.en), ("ru", meaning.ru)):
        details.append(_pack(error_details_pb2.LocalizedMessage(locale=locale, message=text)))
    message = _cut(detail or meaning.en, LONGEST_MESSAGE_BYTES)
    return status_pb2.Status(code=meaning.code, message=message, details=details)


def _cut(text: str, longest_bytes: int) -> str:
    packed = text.encode()
    if len(packed) <= longest_bytes:
        return text
    return packed[: longest_bytes - 3].decode(errors="ignore") + "…"


def _pack(message: error_details_pb2.ErrorInfo | object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]
    return packed


async def abort(context: grpc.aio.ServicerContext, status: status_pb2.Status) -> NoReturn:  # type: ignore[type-arg]
    """Ends the call with `status`."""
    await context.abort(
        _CODES[status.code], status.message, ((DETAILS_KEY, status.SerializeToString()),)
    )
    raise AssertionError("abort returned")
