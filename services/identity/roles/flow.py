"""Use cases of roles: granted, revoked, over at their time, shown."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mesh.runtime.clock import Clock
from mesh.runtime.contract import RoleWords
from services.identity.revocations.flow import until
from services.identity.roles import rules
from services.identity.roles.rules import Grant, Wanted
from services.identity.roles.store import EXPIRE_AT_ONCE, RoleStore

BEGINNING: Final = (datetime.max.replace(tzinfo=UTC), uuid.UUID(int=0))
"""Where the first page of a list begins, which has the newest first."""
MOST_EXPIRIES: Final = 100


@dataclass(frozen=True, slots=True)
class RoleFlow:
    """Granting, revoking and showing."""

    store: RoleStore
    roles: Sequence[RoleWords]
    """The contract's."""
    longest_token_s: float
    clock: Clock

    async def grant(
        self, by: uuid.UUID, user_id: uuid.UUID, grant_id: uuid.UUID, wanted: Wanted
    ) -> Grant:
        """Grants a role; a repeat answers with the first grant, and revives nothing.

        Raises:
            RoleUnknown, RoleExpiryInvalid, RoleForOneself, RoleLost, RequestIdReused,
            UserNotFound
        """
        now = self.clock()
        grantable = {each.name for each in self.roles if each.is_granted}
        grant = rules.granted(by, user_id, grant_id, wanted, grantable, now)
        kept = await self.store.grant(grant, by, self._until(now))
        return kept.as_of(now)

    async def revoke(
        self, by: uuid.UUID, user_id: uuid.UUID, grant_id: uuid.UUID, why: str
    ) -> Grant:
        """Takes a grant back; where it has ended, nothing changes.

        Raises:
            RoleLost, RoleGrantNotFound, RoleGrantReplaced, LastAdministrator
        """
        now = self.clock()
        done = await self.store.revoke(user_id, grant_id, by, why, now, self._until(now))
        return done.as_of(now)

    async def grants(
        self,
        user_id: uuid.UUID | None,
        role: str,
        before: tuple[datetime, uuid.UUID],
        size: int,
        *,
        ended: bool,
    ) -> tuple[list[Grant], bool]:
        """A page of grants, the newest first, and whether more follow; of a person or of all.

        Raises:
            RoleUnknown
        """
        if role and role not in {each.name for each in self.roles}:
            raise rules.RoleUnknown
        now = self.clock()
        found = await self.store.grants(user_id, role, before, size + 1, now, ended=ended)
        return [each.as_of(now) for each in found[:size]], len(found) > size

    async def mine(self, user_id: uuid.UUID) -> tuple[list[Grant], bool]:
        """What somebody has now, by name, and whether he has a second factor."""
        found, _ = await self.grants(user_id, "", BEGINNING, len(self.roles), ended=False)
        has_factor = await self.store.has_factor(user_id)
        return sorted(found, key=lambda each: each.role), has_factor

    async def is_staff(self, user_id: uuid.UUID) -> bool:
        """Whether somebody has a role that was granted."""
        return bool((await self.mine(user_id))[0])

    async def expire(self) -> None:
        """Writes down which grants are over, so that what they opened ends in seconds."""
        for _ in range(MOST_EXPIRIES):
            now = self.clock()
            if await self.store.expire(now, self._until(now)) < EXPIRE_AT_ONCE:
                return

    def _until(self, now: datetime) -> datetime:
        return until(now, self.longest_token_s)
