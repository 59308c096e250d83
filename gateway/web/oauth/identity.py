"""Calls to identity's OAuthService as the edge, and what its refusals mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AioRpcError

from gateway.web.host import Host
from mesh import catalog
from mesh.runtime.errors import DETAILS_KEY, MeshError
from palestra.identity.v1.key_service_pb2_grpc import KeyServiceStub
from palestra.identity.v1.oauth_service_pb2_grpc import OAuthServiceStub
from palestra.identity.v1.sso_service_pb2_grpc import SsoServiceStub

if TYPE_CHECKING:
    from starlette.requests import Request

LIMIT_S = 20.0
"""Nothing that is asked takes longer; each method has its own limit."""
_CARRIED = ("x-request-id", "traceparent", catalog.DEVELOPER_HEADER, catalog.ADDRESS_HEADER)
"""What a browser's request hands on."""


class Refused(Exception):
    """Identity said no; `reason` is one of its contract's."""

    def __init__(self, reason: str, message: str, retry_after_s: float | None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Identity:
    """The service, as seen from here."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def ask(self, request: Request, method: str, message: Any) -> Any:
        """One call of OAuthService.

        Raises:
            Refused: with identity's reason.
            MeshError: UNAVAILABLE where it does not answer.
        """
        return await self._call(
            getattr(OAuthServiceStub(self._host.mesh), method), request, message
        )

    async def sso(self, request: Request, method: str, message: Any) -> Any:
        """One call of SsoService, likewise."""
        return await self._call(getattr(SsoServiceStub(self._host.mesh), method), request, message)

    async def keys(self, request: Request, message: Any) -> Any:
        """KeyService.GetKeySet, likewise."""
        return await self._call(KeyServiceStub(self._host.mesh).GetKeySet, request, message)

    async def _call(self, method: Any, request: Request, message: Any) -> Any:
        headers = request.headers
        metadata = tuple((name, headers[name]) for name in _CARRIED if name in headers)
        try:
            return await method(message, metadata=metadata, timeout=LIMIT_S)
        except AioRpcError as error:
            raise _meaning(error) from error


def _meaning(error: AioRpcError) -> Exception:
    for key, value in (*_pairs(error.trailing_metadata()), *_pairs(error.initial_metadata())):
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return _refused(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    return MeshError("UNAVAILABLE", "identity does not answer")


def _refused(status: status_pb2.Status) -> Exception:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    retry_after_s = None
    for detail in status.details:
        detail.Unpack(info)
        if detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
    if info.reason in ("", "UNAVAILABLE", "UNEXPECTED", "DEADLINE_EXCEEDED"):
        return MeshError("UNAVAILABLE", "identity does not answer")
    return Refused(info.reason, status.message, retry_after_s)


def _pairs(metadata: Any) -> Iterable[tuple[str, str | bytes]]:
    return metadata or ()
