"""Goals in SQL."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    DateTime,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    null,
    select,
    tuple_,
    update,
)

from mesh.runtime.sql import Database, Row, Statement
from services.identity.goals.rules import (
    MOST_GOALS,
    Goal,
    Kind,
    Record,
    State,
    Target,
    TooManyGoals,
)
from services.identity.profiles.rules import UserNotFound
from services.identity.tables.goals import GOALS
from services.identity.tables.profiles import PROFILES

FORGET_AT_ONCE: Final = 1_000
_TARGET: Final = (
    "kind",
    "event_name",
    "sport",
    "distance_m",
    "duration_s",
    "period",
    "weight_kg",
)
_REST: Final = ("target_date", "state", "achieved_at", "version", "created_at", "updated_at")
_COLUMNS: Final = ("goal_id", "title", *_TARGET, *_REST)
_user: Any = bindparam("of_user", type_=Uuid())
_this = (GOALS.c.user_id == _user) & (GOALS.c.goal_id == bindparam("of_goal", type_=Uuid()))
_alive = GOALS.c.deleted_at.is_(None)
_columns = [GOALS.c[name] for name in _COLUMNS]

# Creations of one person wait here for each other, so that they are counted one by one.
_LOCK = Statement(
    select(PROFILES.c.user_id).where(PROFILES.c.user_id == _user).with_for_update(key_share=True)
)
_RECORD = Statement(
    select(GOALS.c.request_hash, GOALS.c.created_at, GOALS.c.deleted_at, *_columns).where(_this)
)
_count = select(func.count()).select_from(GOALS).where(GOALS.c.user_id == _user, _alive)
_given = {
    "user_id": _user,
    "goal_id": bindparam("of_goal", type_=Uuid()),
    "request_hash": bindparam("request_hash", type_=GOALS.c.request_hash.type),
    **{name: bindparam(f"new_{name}", type_=GOALS.c[name].type) for name in _COLUMNS[1:]},
}
_CREATE = Statement(
    insert(GOALS).from_select(
        list(_given), select(*_given.values()).where(_count.scalar_subquery() < MOST_GOALS)
    )
)
_GOAL = Statement(select(*_columns).where(_this, _alive))
_after = tuple_(GOALS.c.created_at, GOALS.c.goal_id) > tuple_(
    bindparam("after_created_at", type_=DateTime(timezone=True)),
    bindparam("after_goal", type_=Uuid()),
)
_LIST = Statement(
    select(*_columns)
    .where(GOALS.c.user_id == _user, _alive, _after)
    .order_by(GOALS.c.created_at, GOALS.c.goal_id)
    .limit(bindparam("most"))
)
_SAVE = Statement(
    update(GOALS)
    .where(_this, _alive, GOALS.c.version == bindparam("new_version") - 1)
    .values({name: bindparam(f"new_{name}") for name in _COLUMNS[1:] if name != "created_at"})
)
_now: Any = bindparam("now", type_=DateTime(timezone=True))
_DELETE = Statement(
    update(GOALS)
    .where(_this)
    .values(
        deleted_at=func.coalesce(GOALS.c.deleted_at, _now),
        title="",
        **dict.fromkeys(_TARGET[1:], null()),
        target_date=null(),
    )
)
_old = (
    select(GOALS.c.user_id, GOALS.c.goal_id)
    .where(GOALS.c.deleted_at < bindparam("before", type_=DateTime(timezone=True)))
    .limit(FORGET_AT_ONCE)
)
_FORGET = Statement(delete(GOALS).where(tuple_(GOALS.c.user_id, GOALS.c.goal_id).in_(_old)))


class GoalStore:
    """Rows of goals <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, goal: Goal, request_hash: bytes) -> Record | None:
        """Adds a goal; answers with the record where its id was used before.

        Raises:
            UserNotFound
            TooManyGoals: the person has as many as there may be.
        """
        values = {**_values(goal), "request_hash": request_hash}
        key = {"of_user": goal.user_id, "of_goal": goal.goal_id}
        async with self._database.transaction() as session:
            if await session.row(_LOCK, {"of_user": goal.user_id}) is None:
                raise UserNotFound
            row = await session.row(_RECORD, key)
            if row is not None:
                found = _goal(goal.user_id, row[3:]) if row[2] is None else None
                return Record(bytes(row[0]), row[1], found)
            if not await session.run(_CREATE, values):
                raise TooManyGoals(f"at most {MOST_GOALS} goals are possible")
        return None

    async def goal(self, user_id: uuid.UUID, goal_id: uuid.UUID) -> Goal | None:
        """A goal, if there is such a one."""
        row = await self._database.row(_GOAL, {"of_user": user_id, "of_goal": goal_id})
        return _goal(user_id, row) if row else None

    async def goals(
        self, user_id: uuid.UUID, after: tuple[datetime, uuid.UUID], most: int
    ) -> list[Goal]:
        """A person's goals, oldest first, that come after a time and id."""
        values = {
            "of_user": user_id,
            "after_created_at": after[0],
            "after_goal": after[1],
            "most": most,
        }
        return [_goal(user_id, row) for row in await self._database.rows(_LIST, values)]

    async def save(self, goal: Goal) -> bool:
        """Replaces the version before `goal`'s; false where that is gone."""
        values = _values(goal)
        del values["new_created_at"]
        return await self._database.run(_SAVE, values) == 1

    async def delete(self, user_id: uuid.UUID, goal_id: uuid.UUID, now: datetime) -> bool:
        """Deletes a goal and what it said, once; false where there never was one."""
        values = {"of_user": user_id, "of_goal": goal_id, "now": now}
        return await self._database.run(_DELETE, values) == 1

    async def forget(self, before: datetime) -> int:
        """Drops some of the goals that were deleted before a time; answers how many."""
        return await self._database.run(_FORGET, {"before": before})


def _goal(user_id: uuid.UUID, row: Row) -> Goal:
    goal_id, title, kind, *rest = row
    target = Target(Kind(kind), *rest[: len(_TARGET) - 1])
    day, state, *times = rest[len(_TARGET) - 1 :]
    return Goal(user_id, goal_id, title, target, day, State(state), *times)


def _values(goal: Goal) -> dict[str, Any]:
    told = {name: getattr(goal.target, name) for name in _TARGET}
    told |= {name: getattr(goal, name) for name in ("title", *_REST)}
    told |= {"kind": int(goal.target.kind), "state": int(goal.state)}
    return {
        "of_user": goal.user_id,
        "of_goal": goal.goal_id,
        **{f"new_{name}": value for name, value in told.items()},
    }
