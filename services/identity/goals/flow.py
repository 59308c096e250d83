"""Use cases of goals."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mesh.runtime.clock import Clock
from services.identity.goals import rules
from services.identity.goals.rules import Goal, Wanted
from services.identity.goals.store import FORGET_AT_ONCE, GoalStore
from services.identity.profiles.flow import ProfileFlow
from services.identity.profiles.rules import EtagMismatch
from services.identity.visibility.rules import sees

BEGINNING: Final = (datetime.fromtimestamp(0, UTC), uuid.UUID(int=0))
"""Where the first page of a list begins."""
TRIES: Final = 5
MOST_FORGETTINGS: Final = 100


@dataclass(frozen=True, slots=True)
class GoalFlow:
    """Setting, changing and showing what people want to reach."""

    store: GoalStore
    profiles: ProfileFlow
    clock: Clock

    async def create(self, user_id: uuid.UUID, goal_id: uuid.UUID, wanted: Wanted) -> Goal:
        """Sets a goal; a repeat answers with the first one, and revives nothing.

        Raises:
            UserNotFound, TooManyGoals, RequestIdReused, FieldInvalid
        """
        wanted = rules.cleaned(wanted)
        goal = rules.created(user_id, goal_id, wanted, self.clock())
        record = await self.store.create(goal, wanted.fingerprint)
        return goal if record is None else rules.repeated(goal, wanted, record)

    async def goals(
        self, viewer: uuid.UUID, user_id: uuid.UUID, after: tuple[datetime, uuid.UUID], size: int
    ) -> tuple[list[Goal], bool]:
        """A page of a person's goals, oldest first, and whether more follow.

        To whom he does not show them he has none.

        Raises:
            UserNotFound: also where either blocks the other.
        """
        if viewer != user_id:
            profile, what = await self.profiles.seen(viewer, user_id)
            if not sees(what, profile.visibility.goals):
                return [], False
        found = await self.store.goals(user_id, after, size + 1)
        return found[:size], len(found) > size

    async def update(
        self,
        user_id: uuid.UUID,
        goal_id: uuid.UUID,
        wanted: Wanted,
        fields: Collection[str],
        etag: str,
    ) -> Goal:
        """Changes `fields` of a goal to those of `wanted`.

        Raises:
            GoalNotFound, EtagMismatch, FieldInvalid
        """
        for _ in range(TRIES):
            goal = await self.store.goal(user_id, goal_id)
            if goal is None:
                raise rules.GoalNotFound
            changed = rules.update(goal, wanted, fields, etag, self.clock())
            if changed is goal or await self.store.save(changed):
                return changed
        raise EtagMismatch

    async def delete(self, user_id: uuid.UUID, goal_id: uuid.UUID) -> None:
        """Deletes a goal; a repeat changes nothing.

        Raises:
            GoalNotFound: there never was one.
        """
        if not await self.store.delete(user_id, goal_id, self.clock()):
            raise rules.GoalNotFound

    async def forget(self) -> None:
        """Drops what is left of goals that were deleted long ago."""
        before = self.clock() - rules.REMEMBER_DELETED
        for _ in range(MOST_FORGETTINGS):
            if await self.store.forget(before) < FORGET_AT_ONCE:
                return
