"""How a WebSocket is closed: the code and the reason, from a status.

Owns the table: 4000 and the HTTP status that REST has for the same error. What the
WebSocket protocol has codes of its own for gets those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.rpc import error_details_pb2, status_pb2

from gateway.http_statuses import HTTP_STATUSES
from gateway.web.telemetry.frames import TooLarge
from mesh.runtime.errors import MeshError, status_of

AS_IT_SHOULD: Final = 1000
TOO_LARGE: Final = 1009
RESTARTS: Final = 1012
_OURS: Final = 4000
_LONGEST_REASON_BYTES: Final = 123
"""What a close frame holds beside its code."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The last that a device is told."""

    code: int
    reason: str
    status: status_pb2.Status | None = None
    """What its last frame says; None where the last message said all."""


ENDED: Final = Closing(AS_IT_SHOULD, "ended")


def of_status(status: status_pb2.Status) -> Closing:
    """The end of a stream that integration refused or ended."""
    return Closing(_OURS + HTTP_STATUSES.get(status.code, 500), _reason(status), status)


def of_error(error: Exception) -> Closing:
    """The end of a stream by an error of this process, or of the device's frame."""
    status, _ = status_of(error, {})
    code = TOO_LARGE if isinstance(error, TooLarge) else of_status(status).code
    return Closing(code, _reason(status), status)


def of_restart() -> Closing:
    """The end of a stream because this process ends: the session goes on elsewhere."""
    words = "this process ends; open the session again, another one takes over"
    status, _ = status_of(MeshError("UNAVAILABLE", words, retry_after_s=0), {})
    return Closing(RESTARTS, _reason(status), status)


def _reason(status: status_pb2.Status) -> str:
    """The stable reason of its ErrorInfo."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            reason: str = info.reason
            return reason.encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore")
    return ""
