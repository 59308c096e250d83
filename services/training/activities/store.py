"""Activities in SQL. Rows carry their serialised message: what is read is answered as it is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    DateTime,
    Integer,
    SmallInteger,
    Uuid,
    and_,
    bindparam,
    delete,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Statement, Undo
from services.training.keys import SessionKey
from services.training.tables import ACTIVITIES, CHUNKS, SESSIONS, STREAMS


class StoredActivity(NamedTuple):
    """An activity as it is stored."""

    message: bytes
    version: int
    event_version: int
    totals: bytes | None
    """None while it is live."""
    deleted: bool


class Listed(NamedTuple):
    """A row of a list."""

    started_at: datetime
    activity_id: uuid.UUID
    message: bytes


class Window(NamedTuple):
    """Which part of a person's activities a list is about."""

    sports: Sequence[int]
    started_from: datetime
    started_before: datetime
    descending: bool
    limit: int
    after: tuple[datetime, uuid.UUID] | None
    """The last row of the page before."""


_ours = and_(
    ACTIVITIES.c.user_id == bindparam("of_user"),
    ACTIVITIES.c.activity_id == bindparam("of_activity"),
)
_ACTIVITY = Statement(
    select(
        ACTIVITIES.c.message,
        ACTIVITIES.c.version,
        ACTIVITIES.c.event_version,
        ACTIVITIES.c.totals,
        ACTIVITIES.c.deleted_at.is_not(None),
    ).where(_ours)
)


def _list(*, descending: bool) -> Statement:
    place = tuple_(ACTIVITIES.c.started_at, ACTIVITIES.c.activity_id)
    after = tuple_(
        bindparam("after_at", type_=DateTime(timezone=True)), bindparam("after_id", type_=Uuid)
    )
    order = (ACTIVITIES.c.started_at, ACTIVITIES.c.activity_id)
    return Statement(
        select(ACTIVITIES.c.started_at, ACTIVITIES.c.activity_id, ACTIVITIES.c.message)
        .where(
            ACTIVITIES.c.user_id == bindparam("of_user"),
            ACTIVITIES.c.deleted_at.is_(None),
            ACTIVITIES.c.started_at >= bindparam("started_from"),
            ACTIVITIES.c.started_at < bindparam("started_before"),
            ACTIVITIES.c.sport == func.any(bindparam("sports", type_=ARRAY(SmallInteger))),
            place < after if descending else place > after,
        )
        .order_by(*(column.desc() if descending else column.asc() for column in order))
        .limit(bindparam("most", type_=Integer))
    )


_NEWEST_FIRST = _list(descending=True)
_OLDEST_FIRST = _list(descending=False)
_changed = (
    update(ACTIVITIES)
    .where(
        _ours,
        ACTIVITIES.c.version == bindparam("seen_version"),
        ACTIVITIES.c.deleted_at.is_(None),
    )
    .values(
        sport=bindparam("new_sport"),
        message=bindparam("new_message"),
        version=ACTIVITIES.c.version + 1,
    )
)
_CHANGE = Statement(_changed)
_counted = (
    _changed.values(totals=bindparam("new_totals"), event_version=ACTIVITIES.c.event_version + 1)
    .returning(ACTIVITIES.c.event_version)
    .cte("counted")
)
_CORRECT = Statement(outbox.publishing(_counted, _counted.c.event_version))
_gone = (
    update(ACTIVITIES)
    .where(
        _ours,
        ACTIVITIES.c.version == bindparam("seen_version"),
        ACTIVITIES.c.deleted_at.is_(None),
    )
    .values(deleted_at=func.now(), version=ACTIVITIES.c.version + 1)
)
_DELETE = Statement(_gone)
_told = (
    _gone.values(event_version=ACTIVITIES.c.event_version + 1)
    .returning(ACTIVITIES.c.event_version)
    .cte("told")
)
_DELETE_COUNTED = Statement(outbox.publishing(_told, _told.c.event_version))
_END_SESSION = Statement(
    update(SESSIONS)
    .where(
        SESSIONS.c.user_id == bindparam("of_user"),
        SESSIONS.c.session_id == bindparam("of_activity"),
    )
    .values(closed=literal(True), touched_at=func.now())
)
_DROP_STREAMS = Statement(
    delete(STREAMS).where(
        STREAMS.c.user_id == bindparam("of_user"),
        STREAMS.c.activity_id == bindparam("of_activity"),
    )
)
_DROP_CHUNKS = Statement(
    delete(CHUNKS).where(
        CHUNKS.c.user_id == bindparam("of_user"),
        CHUNKS.c.session_id == bindparam("of_activity"),
    )
)
_LIVE_COUNTS = Statement(
    select(SESSIONS.c.session_id, SESSIONS.c.sample_count).where(
        SESSIONS.c.user_id == bindparam("of_user"),
        SESSIONS.c.session_id == func.any(bindparam("sessions", type_=ARRAY(Uuid))),
    )
)


def _key(activity: SessionKey) -> dict[str, Any]:
    return {"of_user": activity.user_id, "of_activity": activity.session_id}


class ActivityStore:
    """Rows of activities <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def activity(self, activity: SessionKey) -> StoredActivity | None:
        """An activity, deleted or not."""
        row = await self._database.row(_ACTIVITY, _key(activity))
        return StoredActivity(*row) if row else None

    async def listed(self, user_id: uuid.UUID, window: Window) -> list[Listed]:
        """A person's activities in order, those deleted left out."""
        after_at, after_id = window.after or _edge(window)
        values = {
            "of_user": user_id,
            "sports": list(window.sports),
            "started_from": window.started_from,
            "started_before": window.started_before,
            "after_at": after_at,
            "after_id": after_id,
            "most": window.limit,
        }
        statement = _NEWEST_FIRST if window.descending else _OLDEST_FIRST
        return [Listed(*row) for row in await self._database.rows(statement, values)]

    async def change(self, activity: SessionKey, version: int, sport: int, message: bytes) -> bool:
        """Saves what nobody else counts; false where the version is gone."""
        values = _key(activity) | {
            "seen_version": version,
            "new_sport": sport,
            "new_message": message,
        }
        return await self._database.run(_CHANGE, values) == 1

    async def correct(
        self,
        activity: SessionKey,
        version: int,
        sport: int,
        message: bytes,
        totals: bytes,
        event: outbox.Message,
    ) -> bool:
        """Saves what others count too, and tells of it; false where the version is gone."""
        values = _key(activity) | {
            "seen_version": version,
            "new_sport": sport,
            "new_message": message,
            "new_totals": totals,
        }
        return await self._database.run(_CORRECT, {**values, **outbox.values(event)}) == 1

    async def delete(
        self, activity: SessionKey, version: int, event: outbox.Message | None
    ) -> bool:
        """Deletes an activity with its samples, and tells of it where it counted.

        A live session ends with it. False where the version is gone.
        """
        key = _key(activity)
        values = key | {"seen_version": version}
        gone = False
        async with self._database.transaction() as session:
            # The session first, as a close has it: else the two could wait for each other.
            await session.run(_END_SESSION, key)
            if event is None:
                touched = await session.run(_DELETE, values)
            else:
                touched = await session.run(_DELETE_COUNTED, {**values, **outbox.values(event)})
            if touched != 1:
                raise Undo
            await session.run(_DROP_STREAMS, key)
            await session.run(_DROP_CHUNKS, key)
            gone = True
        return gone  # noqa: RET504 - Undo leaves the block with it still false

    async def live_counts(
        self, user_id: uuid.UUID, activities: Sequence[uuid.UUID]
    ) -> dict[uuid.UUID, int]:
        """How many samples live activities have by now."""
        values = {"of_user": user_id, "sessions": list(activities)}
        return dict(await self._database.rows(_LIVE_COUNTS, values))


def _edge(window: Window) -> tuple[datetime, uuid.UUID]:
    """A place before the first row."""
    if window.descending:
        return window.started_before, uuid.UUID(int=(1 << 128) - 1)
    return window.started_from, uuid.UUID(int=0)
