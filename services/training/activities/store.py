"""Activities in SQL. Rows carry their serialised message: what is read is answered as it is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple

from sqlalchemy import (
    DateTime,
    Integer,
    SmallInteger,
    Uuid,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Listing, Statement, Undo
from services.training.keys import SessionKey
from services.training.tables import ACTIVITIES, CHUNKS, SESSIONS, SHOWN_ACTIVITIES, STREAMS

Place = tuple[datetime, uuid.UUID]
"""Where an activity stands among its owner's: when it started, and its id."""


_TRUE = b"\1"
"""As PostgreSQL sends it."""


class StoredActivity(NamedTuple):
    """An activity as it is stored."""

    message: bytes
    version: int
    event_version: int
    totals: bytes | None
    """None while it is live."""
    deleted: bool


class Listed:
    """Rows of a list: their forms, and their places only where somebody asks."""

    def __init__(self, rows: Listing, *, rendered: bool) -> None:
        self._rows = rows
        self.messages = rows.raw(1)
        """None where the row's JSON is there and was asked for."""
        self.jsons = rows.raw(2) if rendered else []

    def any_live(self, first: int) -> bool:
        """Whether samples are still coming of one of the first rows."""
        return _TRUE in self._rows.raw(0)[:first]

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, index: int) -> Place:
        """Where a row stands in the order; of rows with JSON only, the others say it themselves."""
        *_, started_at, activity_id = self._rows.row(index)
        return started_at, activity_id


class Forms(NamedTuple):
    """An activity in the forms in which it is stored."""

    sport: int
    audience: int
    message: bytes
    json: bytes | None


class Window(NamedTuple):
    """Which part of a person's activities a list is about."""

    sports: Sequence[int] | None
    """None for all of them."""
    started_from: datetime
    started_before: datetime
    descending: bool
    limit: int
    after: Place | None
    """The last row of the page before."""

    @property
    def edge(self) -> Place:
        """A place before the first row."""
        if self.descending:
            return self.started_before, uuid.UUID(int=(1 << 128) - 1)
        return self.started_from, uuid.UUID(int=0)


_ours = and_(
    ACTIVITIES.c.user_id == bindparam("of_user"),
    ACTIVITIES.c.activity_id == bindparam("of_activity"),
)
_RENDERED = Statement(
    select(ACTIVITIES.c.json, ACTIVITIES.c.version).where(
        _ours, ACTIVITIES.c.deleted_at.is_(None), ACTIVITIES.c.json.is_not(None)
    )
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


def _list(*, descending: bool, rendered: bool, all_sports: bool) -> Statement:
    # Each row once: as the one form, or as the other.
    order = (ACTIVITIES.c.started_at, ACTIVITIES.c.activity_id)
    # A message says where it stands: what is not sent costs nothing, fifty times.
    forms = (
        (case((ACTIVITIES.c.json.is_(None), ACTIVITIES.c.message)), ACTIVITIES.c.json, *order)
        if rendered
        else (ACTIVITIES.c.message,)
    )
    place = tuple_(*order)
    after = tuple_(
        bindparam("after_at", type_=DateTime(timezone=True)), bindparam("after_id", type_=Uuid)
    )
    sports = bindparam("sports", type_=ARRAY(SmallInteger))
    return Statement(
        select(
            ACTIVITIES.c.totals.is_(None),
            *forms,
        )
        .where(
            ACTIVITIES.c.user_id == bindparam("of_user"),
            ACTIVITIES.c.deleted_at.is_(None),
            ACTIVITIES.c.started_at >= bindparam("started_from"),
            ACTIVITIES.c.started_at < bindparam("started_before"),
            *(() if all_sports else (ACTIVITIES.c.sport == func.any(sports),)),
            place < after if descending else place > after,
        )
        .order_by(*(column.desc() if descending else column.asc() for column in order))
        .limit(bindparam("most", type_=Integer))
    )


_LISTS = {
    which: _list(descending=which[0], rendered=which[1], all_sports=which[2])
    for which in product((True, False), repeat=3)
}
_changed = (
    update(ACTIVITIES)
    .where(
        _ours,
        ACTIVITIES.c.version == bindparam("seen_version"),
        ACTIVITIES.c.deleted_at.is_(None),
    )
    .values(
        sport=bindparam("new_sport"),
        audience=bindparam("new_audience"),
        message=bindparam("new_message"),
        json=bindparam("new_json"),
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
_DROP_SHOWN = Statement(
    delete(SHOWN_ACTIVITIES).where(
        SHOWN_ACTIVITIES.c.user_id == bindparam("of_user"),
        SHOWN_ACTIVITIES.c.activity_id == bindparam("of_activity"),
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

    async def rendered(self, activity: SessionKey) -> tuple[bytes, int] | None:
        """The JSON of a finished activity, and its version; None where there is none."""
        row = await self._database.row(_RENDERED, _key(activity))
        return (bytes(row[0]), int(row[1])) if row else None

    async def listed(self, user_id: uuid.UUID, window: Window, *, rendered: bool = False) -> Listed:
        """A person's activities in order, those deleted left out; as JSON where `rendered`."""
        after_at, after_id = window.after or window.edge
        values: dict[str, Any] = {
            "of_user": user_id,
            "started_from": window.started_from,
            "started_before": window.started_before,
            "after_at": after_at,
            "after_id": after_id,
            "most": window.limit,
        }
        if window.sports is not None:
            values["sports"] = list(window.sports)
        statement = _LISTS[window.descending, rendered, window.sports is None]
        return Listed(await self._database.listing(statement, values), rendered=rendered)

    async def change(self, activity: SessionKey, version: int, new: Forms) -> bool:
        """Saves what nobody else counts; false where the version is gone."""
        values = _key(activity) | _forms(version, new)
        return await self._database.run(_CHANGE, values) == 1

    async def correct(
        self,
        activity: SessionKey,
        version: int,
        new: Forms,
        totals: bytes,
        event: outbox.Message,
    ) -> bool:
        """Saves what others count too, and tells of it; false where the version is gone."""
        values = _key(activity) | _forms(version, new) | {"new_totals": totals}
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
            await session.run(_DROP_SHOWN, key)
            gone = True
        return gone  # noqa: RET504 - Undo leaves the block with it still false

    async def live_counts(
        self, user_id: uuid.UUID, activities: Sequence[uuid.UUID]
    ) -> dict[uuid.UUID, int]:
        """How many samples live activities have by now."""
        values = {"of_user": user_id, "sessions": list(activities)}
        return dict(await self._database.rows(_LIVE_COUNTS, values))


def _forms(version: int, new: Forms) -> dict[str, Any]:
    return {
        "seen_version": version,
        "new_sport": new.sport,
        "new_audience": new.audience,
        "new_message": new.message,
        "new_json": new.json,
    }
