"""Stored samples in SQL: chunks while a session is live, a stream per channel after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import SmallInteger, and_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime.sql import Database, Statement
from services.training.keys import SessionKey
from services.training.tables import ACTIVITIES, CHUNKS, SESSIONS, STREAMS

TIMES: Final = -1
"""The stream that holds the times."""


class StoredSamples(NamedTuple):
    """The description of an activity's samples, and whether they are archived."""

    description: bytes
    closed: bool
    sample_count: int


_STREAMS = Statement(
    select(STREAMS.c.channel, STREAMS.c.body).where(
        STREAMS.c.user_id == bindparam("of_user"),
        STREAMS.c.activity_id == bindparam("of_activity"),
        STREAMS.c.channel == func.any(bindparam("channels", type_=ARRAY(SmallInteger))),
    )
)
_SESSION = Statement(
    select(SESSIONS.c.description, SESSIONS.c.closed, SESSIONS.c.sample_count)
    .join(
        ACTIVITIES,
        and_(
            ACTIVITIES.c.user_id == SESSIONS.c.user_id,
            ACTIVITIES.c.activity_id == SESSIONS.c.session_id,
        ),
    )
    .where(
        SESSIONS.c.user_id == bindparam("of_user"),
        SESSIONS.c.session_id == bindparam("of_activity"),
        ACTIVITIES.c.deleted_at.is_(None),
    )
)
_CHUNKS = Statement(
    select(CHUNKS.c.body)
    .where(
        CHUNKS.c.user_id == bindparam("of_user"),
        CHUNKS.c.session_id == bindparam("of_activity"),
    )
    .order_by(CHUNKS.c.first_seq)
)


def _key(activity: SessionKey) -> dict[str, Any]:
    return {"of_user": activity.user_id, "of_activity": activity.session_id}


class SampleStore:
    """Rows of samples <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def samples(self, activity: SessionKey) -> StoredSamples | None:
        """What describes an activity's samples; None where there is none, or it was deleted."""
        row = await self._database.row(_SESSION, _key(activity))
        return StoredSamples(*row) if row else None

    async def streams(self, activity: SessionKey, channels: Sequence[int]) -> dict[int, bytes]:
        """The archived streams of some channels, by index, and the times."""
        values = _key(activity) | {"channels": [TIMES, *channels]}
        return {row[0]: row[1] for row in await self._database.rows(_STREAMS, values)}

    async def chunks(self, activity: SessionKey) -> bytes:
        """The samples of an activity that is still live, in order."""
        rows = await self._database.rows(_CHUNKS, _key(activity))
        return b"".join([row[0] for row in rows])
