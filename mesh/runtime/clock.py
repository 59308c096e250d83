"""Time, passed in so that rules and tests can hold it still."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers the time of now, aware, in UTC."""


def now() -> datetime:
    """The time of now in UTC."""
    return datetime.now(UTC)
