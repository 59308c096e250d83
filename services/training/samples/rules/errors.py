"""Why samples are refused, or cannot be read: each refusal is one reason of the contract.

Owns the exceptions that the rules raise. `str(error)` is the detail for the device's
log. Never knows a status code or a message type: the runtime maps `reason`.
"""

from __future__ import annotations

from typing import ClassVar


class SessionRefusal(Exception):
    """A frame was refused; the stream lives on."""

    reason: ClassVar[str]
    final: ClassVar[bool] = False
    """Whether the session is over for the epoch that sent the frame."""

    def __init__(
        self, detail: str, *, seq: int = 0, resume_from_seq: int = 0, field: str | None = None
    ) -> None:
        """`seq`: the refused batch, 0 where it is not about one; `field`: what is wrong in it."""
        super().__init__(detail)
        self.seq = seq
        self.resume_from_seq = resume_from_seq
        self.field = field


class BatchTooLarge(SessionRefusal):
    """The batch is over a bound."""

    reason = "BATCH_TOO_LARGE"


class BatchMalformed(SessionRefusal):
    """The batch, or the description it rests on, contradicts itself."""

    reason = "BATCH_MALFORMED"


class StoredBytesDamaged(Exception):
    """Stored samples cannot be read back: our fault, never the caller's.

    Has no `reason` on purpose: the runtime masks it and counts it as unexpected.
    """


class ActivityNotFound(Exception):
    """There is no such activity, or it was deleted."""

    reason: ClassVar[str] = "ACTIVITY_NOT_FOUND"
