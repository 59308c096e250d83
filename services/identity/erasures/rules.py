"""The rules of erasing: when it begins, what can be cancelled, when it is looked again."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import ClassVar, Final

SETTLES_AFTER: Final = timedelta(hours=49)
"""Longer than any token lives, any event is kept and any repeat is remembered."""
FIRST_DELAY: Final = timedelta(seconds=5)
LONGEST_DELAY: Final = timedelta(hours=1)
SECRET_BYTES: Final = 32
MOST_FAREWELLS: Final = 8
"""Tries of the last letter, which take twenty minutes: then it goes on without."""
FIRST_LOOK, LAST_LOOK = 1, 2


class ErasureNotFound(Exception):
    """None is planned, or the certificate's secret is another."""

    reason: ClassVar[str] = "ERASURE_NOT_FOUND"


class ErasureBegun(Exception):
    """It cannot be cancelled any more."""

    reason: ClassVar[str] = "ERASURE_BEGUN"


class UserNotFound(Exception):
    """There is no such person."""

    reason: ClassVar[str] = "USER_NOT_FOUND"


class State(IntEnum):
    """How far an erasure is; the numbers are the contract's."""

    PLANNED = 1
    CANCELLED = 2
    ERASING = 3
    SETTLING = 4
    DONE = 5


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure as it is stored."""

    user_id: uuid.UUID
    erasure_id: uuid.UUID
    state: State
    requested_at: datetime
    due_at: datetime
    begun_at: datetime | None
    erased_at: datetime | None
    finished_at: datetime | None
    secret_hash: bytes = field(repr=False)
    secret_sealed: bytes | None = field(repr=False)
    key_id: uuid.UUID | None
    certificate: str
    revision: int

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return str(self.revision)

    @property
    def look(self) -> int:
        """Whether services are asked the first time or the last."""
        return FIRST_LOOK if self.state is State.ERASING else LAST_LOOK


@dataclass(frozen=True, slots=True)
class Step:
    """What one service said."""

    look: int
    service: str
    erased: str | None
    """JSON; None until nothing is left there."""
    attempts: int
    next_at: datetime
    done_at: datetime | None


def secret_hash(secret: str) -> bytes:
    """As the store keeps it: it has 256 random bits, so that no salt is needed."""
    return hashlib.sha256(secret.encode()).digest()


def check_secret(erasure: Erasure | None, secret: str) -> Erasure:
    """The erasure, where the secret is its certificate's.

    Raises:
        ErasureNotFound: there is none, or it is not; which of the two is not said.
    """
    kept = erasure.secret_hash if erasure is not None else bytes(SECRET_BYTES)
    if not hmac.compare_digest(kept, secret_hash(secret)) or erasure is None:
        raise ErasureNotFound
    return erasure


def check_cancellable(erasure: Erasure | None) -> Erasure:
    """The erasure, where it can be cancelled, or was.

    Raises:
        ErasureNotFound, ErasureBegun
    """
    if erasure is None:
        raise ErasureNotFound
    if erasure.state not in (State.PLANNED, State.CANCELLED):
        raise ErasureBegun
    return erasure


def is_due(erasure: Erasure, now: datetime) -> bool:
    """Whether there is something to do."""
    return erasure.state in (State.PLANNED, State.ERASING, State.SETTLING) and erasure.due_at <= now


def next_step(steps: Sequence[Step], look: int, services: Sequence[str], now: datetime) -> str:
    """The service to be asked now, in their order; empty where none is, or all were."""
    known = {step.service: step for step in steps if step.look == look}
    for service in services:
        step = known.get(service)
        if step is None or (step.done_at is None and step.next_at <= now):
            return service
    return ""


def is_erased(steps: Sequence[Step], look: int, services: Sequence[str]) -> bool:
    """Whether every service said that nothing is left."""
    done = {step.service for step in steps if step.look == look and step.done_at is not None}
    return done >= set(services)


def delay(attempts: int) -> timedelta:
    """How long a service is left alone that did not answer `attempts` times."""
    doublings: int = 1 << min(attempts, 16)
    return min(FIRST_DELAY * doublings, LONGEST_DELAY)
