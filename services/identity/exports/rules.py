"""The rules of exports: what states there are, when a service is asked again, what is given up."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import ClassVar, Final

LIVES: Final = timedelta(days=7)
"""How long an archive can be read."""
GIVEN_UP: Final = timedelta(days=7)
"""After so long without all services an export has failed."""
REMEMBERED: Final = timedelta(days=90)
MOST_LISTED: Final = 50
MOST_BYTES: Final = 16 << 30
FIRST_DELAY: Final = timedelta(seconds=5)
LONGEST_DELAY: Final = timedelta(hours=1)
LINK_LIVES: Final = timedelta(minutes=15)


class ExportUnderWay(Exception):
    """One at a time."""

    reason: ClassVar[str] = "EXPORT_UNDER_WAY"


class ExportNotFound(Exception):
    """The person never asked for it, or it was long ago."""

    reason: ClassVar[str] = "EXPORT_NOT_FOUND"


class ExportNotReady(Exception):
    """There is no archive, not yet or not any more."""

    reason: ClassVar[str] = "EXPORT_NOT_READY"


class RequestIdReused(Exception):
    """The request id belongs to a request for something else."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"
    field = "request_id"


class UserNotFound(Exception):
    """There is no such person."""

    reason: ClassVar[str] = "USER_NOT_FOUND"


class State(IntEnum):
    """How far an export is; the numbers are the contract's."""

    GATHERING = 1
    ASSEMBLING = 2
    READY = 3
    EXPIRED = 4
    FAILED = 5


@dataclass(frozen=True, slots=True)
class Step:
    """How far one service is."""

    service: str
    done: bool
    size_bytes: int
    attempts: int
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it is stored."""

    user_id: uuid.UUID
    export_id: uuid.UUID
    state: State
    language: str
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    size_bytes: int
    file: str
    revision: int

    @property
    def etag(self) -> str:
        """Changes with every step."""
        return str(self.revision)


def readme_language(code: str) -> str:
    """`ru-RU` -> `ru`; what is not spoken here -> `en`."""
    return "ru" if code.lower().partition("-")[0] == "ru" else "en"


def next_step(export: Export, steps: Sequence[Step], now: datetime) -> str | None:
    """The service to be asked now; None where all are waited for, or none is left."""
    if export.state is not State.GATHERING:
        return None
    due = [step for step in steps if not step.done and step.next_at <= now]
    return min(due, key=lambda step: (step.next_at, step.service)).service if due else None


def is_gathered(steps: Sequence[Step]) -> bool:
    """Whether every service gave out all."""
    return all(step.done for step in steps)


def is_given_up(export: Export, now: datetime) -> bool:
    """Whether it has taken too long, or too much."""
    return now - export.created_at >= GIVEN_UP


def delay(attempts: int) -> timedelta:
    """How long a service is left alone that did not answer `attempts` times."""
    doublings: int = 1 << min(attempts, 16)
    return min(FIRST_DELAY * doublings, LONGEST_DELAY)


def link_lives(export: Export, now: datetime) -> timedelta:
    """How long a link to the archive may live.

    Raises:
        ExportNotReady: there is no archive.
    """
    if export.state is not State.READY or export.expires_at is None or now >= export.expires_at:
        raise ExportNotReady
    return min(LINK_LIVES, export.expires_at - now)
