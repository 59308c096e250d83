"""The rules of roles: what is granted, for how long, by whom; which of it a token says.

Decides; never reads a clock. A role is at work only in a sign-in that a second factor
proved, in the product's own apps, while there is a second factor.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import ClassVar, Final

ADMINISTRATOR: Final = "administrator"
LONGEST: Final = timedelta(days=366)
"""Of a grant; who is still needed is granted it anew."""
MOST_ENDED_KEPT: Final = 100
"""Of a person's grants that have ended; the oldest go first."""
OPERATOR: Final = uuid.UUID(int=0)
"""Whoever gives commands on the machine: he has the database in his hands anyway."""
SHORTEST: Final = timedelta(seconds=1)
"""What a token says holds for so long at least: its times are whole seconds."""
SECOND_FACTOR: Final = "mfa"


class RoleUnknown(Exception):
    """The contract has no such role, or nobody grants it."""

    reason: ClassVar[str] = "ROLE_UNKNOWN"
    field = "role"


class RoleExpiryInvalid(Exception):
    """A grant that would be over already, or would last too long."""

    reason: ClassVar[str] = "ROLE_EXPIRY_INVALID"
    field = "expire_time"


class RoleForOneself(Exception):
    """Nobody grants himself a role."""

    reason: ClassVar[str] = "ROLE_FOR_ONESELF"


class RoleGrantNotFound(Exception):
    """There is no such grant."""

    reason: ClassVar[str] = "ROLE_GRANT_NOT_FOUND"


class RoleGrantReplaced(Exception):
    """Another grant of the same role came in its place, and lives."""

    reason: ClassVar[str] = "ROLE_GRANT_REPLACED"


class LastAdministrator(Exception):
    """Nobody would be left who can grant anything."""

    reason: ClassVar[str] = "LAST_ADMINISTRATOR"


class RoleLost(Exception):
    """Whoever changes something has no longer the role for it, whatever his token says."""

    reason: ClassVar[str] = "ROLE_LOST"


class RequestIdReused(Exception):
    """The request id was used for another grant."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"


class Ending(IntEnum):
    """How a grant ended; the contract's numbers."""

    LIVES = 0
    REVOKED = 1
    REPLACED = 2
    EXPIRED = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be granted."""

    role: str
    reason: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as it is stored."""

    user_id: uuid.UUID
    grant_id: uuid.UUID
    request_hash: bytes
    role: str
    reason: str
    granted_by: uuid.UUID | None
    """None where that person was erased."""
    granted_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    ended_how: Ending = Ending.LIVES
    ended_by: uuid.UUID | None = None
    ended_why: str = ""

    def as_of(self, now: datetime) -> Grant:
        """As it is told: over at its time, whether or not somebody has written that down."""
        if self.ended_at is None and self.expires_at <= now:
            return replace(self, ended_at=self.expires_at, ended_how=Ending.EXPIRED)
        return self


@dataclass(frozen=True, slots=True)
class Held:
    """A role that somebody has until a time."""

    role: str
    expires_at: datetime


def granted(
    by: uuid.UUID,
    user_id: uuid.UUID,
    grant_id: uuid.UUID,
    wanted: Wanted,
    grantable: Collection[str],
    now: datetime,
) -> Grant:
    """A new grant.

    Raises:
        RoleUnknown, RoleExpiryInvalid, RoleForOneself
    """
    if wanted.role not in grantable:
        raise RoleUnknown(f"one of {', '.join(sorted(grantable))}")
    if not now < wanted.expires_at <= now + LONGEST:
        raise RoleExpiryInvalid(f"later than now, and within {LONGEST.days} days")
    if by == user_id:
        raise RoleForOneself
    said = "\0".join((str(user_id), wanted.role, wanted.reason, wanted.expires_at.isoformat()))
    return Grant(
        user_id=user_id,
        grant_id=grant_id,
        request_hash=hashlib.sha256(said.encode()).digest(),
        role=wanted.role,
        reason=wanted.reason,
        granted_by=by,
        granted_at=now,
        expires_at=wanted.expires_at,
    )


def repeated(wanted: Grant, found: Grant) -> Grant:
    """What a repeat of a request is answered with: the first grant, however it ended.

    Raises:
        RequestIdReused: the first request said something else.
    """
    if not hmac.compare_digest(wanted.request_hash, found.request_hash):
        raise RequestIdReused("it was used for another grant")
    return found


def check_authority(by: uuid.UUID, roles: Collection[str], needed: Collection[str]) -> None:
    """Whether somebody may change what he is about to; `roles` are his as of now.

    Raises:
        RoleLost
    """
    if by != OPERATOR and not set(roles).intersection(needed):
        raise RoleLost


def check_one_stays(others: int) -> None:
    """Whether an administrator may go, where so many `others` stay.

    Raises:
        LastAdministrator
    """
    if others < 1:
        raise LastAdministrator


def at_work(held: Iterable[Held], now: datetime) -> tuple[Held, ...]:
    """Those of the roles that a token of this moment can say."""
    return tuple(each for each in held if each.expires_at >= now + SHORTEST)
