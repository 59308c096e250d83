"""The rules of blocks: who keeps whom out, and until when.

Decides; never reads a clock.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from services.identity.roles.rules import ADMINISTRATOR

BLOCKERS: Final = frozenset({"support", "moderator", ADMINISTRATOR})
LONGEST: Final = timedelta(days=3653)
"""Whoever is to stay out longer is blocked for good."""
MOST_KEPT: Final = 100
"""Of a person's blocks; the oldest go first."""
SETTLES_AFTER: Final = timedelta(minutes=10)
"""So long after a block, sessions that were opened in the same instant are looked for."""


class BlockOfOneself(Exception):
    """Nobody blocks himself."""

    reason: ClassVar[str] = "BLOCK_OF_ONESELF"


class BlockExpiryInvalid(Exception):
    """A block that would be over already, or lasts so long that it may as well not end."""

    reason: ClassVar[str] = "BLOCK_EXPIRY_INVALID"
    field = "expire_time"


class StaffProtected(Exception):
    """What only an administrator may do to a member of staff."""

    reason: ClassVar[str] = "STAFF_PROTECTED"


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it is stored."""

    user_id: uuid.UUID
    block_id: uuid.UUID
    reason: str
    blocked_by: uuid.UUID | None
    """None where that person was erased."""
    blocked_at: datetime
    expires_at: datetime | None
    """None is for good."""
    lifted_at: datetime | None = None
    lifted_by: uuid.UUID | None = None
    lifted_why: str = ""

    def holds(self, now: datetime) -> bool:
        """Whether it keeps the person out."""
        over = self.expires_at is not None and self.expires_at <= now
        return self.lifted_at is None and not over

    def says_the_same(self, other: Block) -> bool:
        """Whether one is a repeat of the other."""
        return (self.reason, self.expires_at) == (other.reason, other.expires_at)


def blocked(
    by: uuid.UUID,
    user_id: uuid.UUID,
    block_id: uuid.UUID,
    reason: str,
    expires_at: datetime | None,
    now: datetime,
) -> Block:
    """A new block.

    Raises:
        BlockOfOneself, BlockExpiryInvalid
    """
    if by == user_id:
        raise BlockOfOneself
    if expires_at is not None and not now < expires_at <= now + LONGEST:
        raise BlockExpiryInvalid(f"later than now, and within {LONGEST.days} days")
    return Block(user_id, block_id, reason, by, now, expires_at)


def check_rank(by: Collection[str], whose: Collection[str]) -> None:
    """Whether somebody of roles `by` may keep out, or let in, somebody of roles `whose`.

    Raises:
        StaffProtected
    """
    if ADMINISTRATOR in whose and ADMINISTRATOR not in by:
        raise StaffProtected
