"""Why a request about activities is refused.

Owns the exceptions that the rules raise; `reason` is one of the contract's, `field`
the part of the request that is at fault, `str(error)` the detail. Never knows a status.
"""

from __future__ import annotations

from typing import ClassVar


class ActivityRefusal(Exception):
    """A request was refused."""

    reason: ClassVar[str]

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        """`field`: the path in the request, in the contract's names."""
        super().__init__(detail)
        self.field = field


class ActivityNotFound(ActivityRefusal):
    """There is no such activity, or it was deleted."""

    reason = "ACTIVITY_NOT_FOUND"


class EtagMismatch(ActivityRefusal):
    """It was changed since the caller read it."""

    reason = "ETAG_MISMATCH"


class FieldInvalid(ActivityRefusal):
    """A field, or a path of a mask, is not what it may be."""

    reason = "INVALID_FIELD"


class FilterInvalid(ActivityRefusal):
    """The filter cannot be understood; the detail says where."""

    reason = "FILTER_INVALID"
