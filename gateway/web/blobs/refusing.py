"""Refusals of blobs, each with its HTTP status.

Owns the table from reason to status: what HTTP and tus have a number for says more than
the number of the reason's code.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from gateway.web import refusals
from mesh.runtime.errors import MeshError

_STATUSES = {
    "UPLOAD_TOO_LARGE": 413,
    "UPLOAD_TYPE_REFUSED": 415,
    "UPLOAD_REJECTED": 422,
    "UPLOAD_DAMAGED": 460,
    "DEADLINE_EXCEEDED": 408,
}


class Refusal(MeshError):
    """A refusal with a status and headers of its own."""

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason, detail, retry_after_s=retry_after_s)
        self.status = status
        self.headers = headers or {}


def answer(error: MeshError) -> Response:
    """What the client gets."""
    status = getattr(error, "status", None) or _STATUSES.get(error.reason)
    response = refusals.response(error, status)
    response.headers.update(getattr(error, "headers", {}))
    return response


def too_large(most: int) -> Refusal:
    """It has more bytes than the link allows."""
    return Refusal("UPLOAD_TOO_LARGE", f"at most {most} bytes can be sent here")
