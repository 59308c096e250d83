"""Why the tracker refuses: each class is one reason of training's contract.

Owns the exceptions that the rules raise. `str(error)` is the detail for the device's
log. Never knows a status code or a message type: the runtime maps `reason`.
"""

from __future__ import annotations

from services.training.samples.rules.errors import SessionRefusal


class SessionFenced(SessionRefusal):
    """A newer opening owns the session."""

    reason = "SESSION_FENCED"
    final = True


class SessionClosed(SessionRefusal):
    """The session is finished and takes no more samples."""

    reason = "SESSION_CLOSED"
    final = True


class SessionUnknown(SessionRefusal):
    """The session, or this opening of it, was never seen: open it, then go on."""

    reason = "SESSION_UNKNOWN"


class BatchOutOfOrder(SessionRefusal):
    """A batch before this one is missing; `resume_from_seq` says which."""

    reason = "BATCH_OUT_OF_ORDER"


class DescriptionChanged(SessionRefusal):
    """The channels changed after samples were stored under the old ones."""

    reason = "DESCRIPTION_CHANGED"
    final = True
