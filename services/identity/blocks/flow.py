"""Use cases of blocks: kept out, let in again, shown."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from services.identity.blocks import rules
from services.identity.blocks.rules import Block
from services.identity.blocks.store import SETTLE_AT_ONCE, BlockStore
from services.identity.revocations.flow import until

MOST_SETTLINGS: Final = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person stands."""

    user_id: uuid.UUID
    is_blocked: bool
    blocks: list[Block]
    """The newest first."""


@dataclass(frozen=True, slots=True)
class BlockFlow:
    """Keeping people out."""

    store: BlockStore
    longest_token_s: float
    clock: Clock

    async def block(
        self, by: uuid.UUID, user_id: uuid.UUID, reason: str, expires_at: datetime | None
    ) -> Standing:
        """Keeps a person out from now on; a repeat changes nothing.

        Raises:
            BlockOfOneself, BlockExpiryInvalid, RoleLost, StaffProtected, LastAdministrator,
            UserNotFound
        """
        now = self.clock()
        block = rules.blocked(by, user_id, uuid7(), reason, expires_at, now)
        found = await self.store.block(block, by, until(now, self.longest_token_s))
        return _standing(user_id, found, now)

    async def unblock(self, by: uuid.UUID, user_id: uuid.UUID, why: str) -> Standing:
        """Lets a person in again; where he is not blocked, nothing changes.

        Raises:
            RoleLost, StaffProtected, UserNotFound
        """
        now = self.clock()
        found = await self.store.unblock(user_id, by, why, now, until(now, self.longest_token_s))
        return _standing(user_id, found, now)

    async def standing(self, user_id: uuid.UUID) -> Standing:
        """How a person stands.

        Raises:
            UserNotFound
        """
        return _standing(user_id, await self.store.blocks(user_id), self.clock())

    async def settle(self) -> None:
        """Ends sessions that were opened in the instant of a block, and not seen by it."""
        for _ in range(MOST_SETTLINGS):
            now = self.clock()
            since, over = now - rules.SETTLES_AFTER, until(now, self.longest_token_s)
            if await self.store.settle(since, now, over) < SETTLE_AT_ONCE:
                return


def _standing(user_id: uuid.UUID, blocks: list[Block], now: datetime) -> Standing:
    return Standing(user_id, bool(blocks) and blocks[0].holds(now), blocks)
