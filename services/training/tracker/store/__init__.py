"""Live sessions in SQL: rows <-> the domain.

Fencing and dedupe are conditions of the statement that commits (`statements`): what a
worker remembers of a session is a hint, never the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Row
from services.training.keys import SessionKey
from services.training.tracker.frames import Clock, Opening
from services.training.tracker.rules.sessions import SessionRow
from services.training.tracker.store import statements
from services.training.tracker.store.shapes import (
    Append,
    FinishedActivity,
    NewActivity,
    Recorded,
    StoredSession,
)

__all__ = [
    "Append",
    "FinishedActivity",
    "NewActivity",
    "Recorded",
    "StoredSession",
    "TrackerStore",
]


def _key(session: SessionKey) -> dict[str, Any]:
    return {"of_user": session.user_id, "of_session": session.session_id}


def _decoded(found: Row) -> StoredSession:
    epoch, last_seq, fingerprint, closed, count, offset, round_trip, description, touched = found
    clock = None if offset is None else Clock(offset, round_trip)
    row = SessionRow(epoch, last_seq, fingerprint, closed)
    return StoredSession(row, count, clock, description, touched)


class TrackerStore:
    """Rows of live sessions <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def session(self, session: SessionKey) -> StoredSession | None:
        """A session as it is stored, if it was ever opened."""
        found = await self._database.row(statements.GET_SESSION, _key(session))
        return None if found is None else _decoded(found)

    async def sessions(self, wanted: Sequence[SessionKey]) -> dict[SessionKey, StoredSession]:
        """Several sessions as they are stored, those that were ever opened."""
        values = {
            "users": [each.user_id for each in wanted],
            "sessions": [each.session_id for each in wanted],
        }
        rows = await self._database.rows(statements.GET_SESSIONS, values)
        return {SessionKey(*row[:2]): _decoded(row[2:]) for row in rows}

    async def create(
        self, activity: NewActivity, epoch: int, opening: Opening, fingerprint: bytes
    ) -> bool:
        """Makes a session and its activity; false where another call made it first."""
        values = _key(activity.session) | {
            "epoch": epoch,
            "fingerprint": fingerprint,
            "description": opening.encoded,
            "state": activity.state,
            "sport": activity.sport,
            "started_at": activity.started_at,
            "message": activity.message,
        }
        return await self._database.run(statements.CREATE, values) == 1

    async def take_over(self, session: SessionKey, epoch: int, seen_seq: int) -> bool:
        """Fences all older openings; false where the session moved meanwhile."""
        values = _key(session) | {"new_epoch": epoch, "seen_seq": seen_seq}
        return await self._database.run(statements.TAKE_OVER, values) == 1

    async def describe(
        self, session: SessionKey, epoch: int, opening: Opening, fingerprint: bytes
    ) -> bool:
        """Replaces the description of a session without samples, and takes it over."""
        values = _key(session) | {
            "new_epoch": epoch,
            "new_fingerprint": fingerprint,
            "new_description": opening.encoded,
        }
        return await self._database.run(statements.DESCRIBE, values) == 1

    async def append(self, appends: Sequence[Append]) -> set[SessionKey]:
        """Commits batches of many sessions; answers whose conditions held."""
        # In one order everywhere, so that two workers cannot wait for each other.
        ordered = sorted(appends, key=lambda each: each.session)
        values = {
            "users": [each.session.user_id for each in ordered],
            "sessions": [each.session.session_id for each in ordered],
            "epochs": [each.epoch for each in ordered],
            "first_seqs": [each.first_seq for each in ordered],
            "last_seqs": [each.last_seq for each in ordered],
            "samples": [each.samples for each in ordered],
            "bodies": [each.body for each in ordered],
        }
        async with self._database.session() as session:
            return {SessionKey(*row) for row in await session.rows(statements.APPEND, values)}

    async def keep_clock(self, session: SessionKey, epoch: int, clock: Clock) -> None:
        """Stores the clock's offset beside the samples."""
        values = _key(session) | {
            "of_epoch": epoch,
            "new_offset_ms": clock.offset_ms,
            "new_round_trip_ms": clock.round_trip_ms,
        }
        await self._database.run(statements.CLOCK, values)

    async def recorded(self, session: SessionKey) -> Recorded | None:
        """The session's activity, and all of its samples in order."""
        row = await self._database.row(statements.GET_RECORDED, _key(session))
        return None if row is None else Recorded(bytes(row[0]), row[1], bytes(row[2] or b""))

    async def finish(self, done: FinishedActivity, event: outbox.Message) -> bool:
        """Closes a session, keeps its streams, tells of it: all or nothing.

        False where the session or its activity moved meanwhile.
        """
        values = _key(done.session) | {
            "of_epoch": done.epoch,
            "seen_seq": done.last_seq,
            "ended_at": done.at,
            "seen_version": done.version,
            "new_state": done.state,
            "new_audience": done.audience,
            "new_totals": done.totals,
            "new_message": done.message,
            "new_json": done.json,
            "channels": list(range(-1, len(done.channels))),
            "bodies": [done.times, *done.channels],
        }
        told = outbox.values(event)
        return await self._database.run(statements.FINISH, {**values, **told}) == 1
