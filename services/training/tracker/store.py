"""Live sessions in SQL.

Fencing and dedupe are conditions of the statement that commits: what a worker
remembers of a session is a hint, never the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Integer,
    LargeBinary,
    SmallInteger,
    Uuid,
    and_,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Row, Session, Statement, Undo
from services.training.keys import SessionKey
from services.training.tables import ACTIVITIES, CHUNKS, SESSIONS, STREAMS
from services.training.tracker.frames import Clock, Opening
from services.training.tracker.rules.sessions import SessionRow


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it is stored."""

    row: SessionRow
    sample_count: int
    clock: Clock | None
    description: bytes
    """SessionDescription of the contract, serialised."""
    touched_at: datetime
    """Of a closed session, when it ended."""


class Append(NamedTuple):
    """The next batches of a session, in one chunk."""

    session: SessionKey
    epoch: int
    first_seq: int
    last_seq: int
    samples: int
    body: bytes


class NewActivity(NamedTuple):
    """The activity that a session becomes, as it begins."""

    session: SessionKey
    state: int
    sport: int
    started_at: datetime
    message: bytes


class FinishedActivity(NamedTuple):
    """The activity that a session became."""

    session: SessionKey
    at: datetime
    """When it ended, by our clock."""
    epoch: int
    last_seq: int
    version: int
    """Of the activity that `message` was made from."""
    state: int
    totals: bytes
    message: bytes
    times: bytes
    channels: Sequence[bytes]


_ours = and_(
    SESSIONS.c.user_id == bindparam("of_user"), SESSIONS.c.session_id == bindparam("of_session")
)
_stored_session = (
    SESSIONS.c.epoch,
    SESSIONS.c.last_seq,
    SESSIONS.c.fingerprint,
    SESSIONS.c.closed,
    SESSIONS.c.sample_count,
    SESSIONS.c.clock_offset_ms,
    SESSIONS.c.clock_round_trip_ms,
    SESSIONS.c.description,
    SESSIONS.c.touched_at,
)
_SESSION = Statement(select(*_stored_session).where(_ours))
_new = (
    upsert(SESSIONS)
    .values(
        user_id=bindparam("of_user"),
        session_id=bindparam("of_session"),
        epoch=bindparam("epoch"),
        last_seq=0,
        sample_count=0,
        closed=False,
        touched_at=func.now(),
        fingerprint=bindparam("fingerprint"),
        description=bindparam("description"),
    )
    .on_conflict_do_nothing()
    .returning(SESSIONS.c.session_id)
    .cte("new_session")
)
_CREATE = Statement(
    insert(ACTIVITIES).from_select(
        [
            "user_id",
            "activity_id",
            "state",
            "sport",
            "started_at",
            "version",
            "event_version",
            "message",
        ],
        select(
            bindparam("of_user", type_=Uuid),
            _new.c.session_id,
            bindparam("state", type_=SmallInteger),
            bindparam("sport", type_=SmallInteger),
            bindparam("started_at", type_=DateTime(timezone=True)),
            literal(1, BigInteger),
            literal(0, BigInteger),
            bindparam("message", type_=LargeBinary),
        ).select_from(_new),
    )
)
_TAKE_OVER = Statement(
    update(SESSIONS)
    .where(
        _ours,
        SESSIONS.c.epoch < bindparam("new_epoch"),
        SESSIONS.c.last_seq == bindparam("seen_seq"),
        ~SESSIONS.c.closed,
    )
    .values(epoch=bindparam("new_epoch"), touched_at=func.now())
)
_DESCRIBE = Statement(
    update(SESSIONS)
    .where(
        _ours,
        SESSIONS.c.epoch <= bindparam("new_epoch"),
        SESSIONS.c.last_seq == 0,
        ~SESSIONS.c.closed,
    )
    .values(
        epoch=bindparam("new_epoch"),
        fingerprint=bindparam("new_fingerprint"),
        description=bindparam("new_description"),
        touched_at=func.now(),
    )
)


def _array(name: str, kind: object) -> object:
    return bindparam(name, type_=ARRAY(kind))  # type: ignore[arg-type]


_wanted = (
    func.unnest(_array("users", Uuid), _array("sessions", Uuid))
    .table_valued(column("user_id", Uuid), column("session_id", Uuid))
    .render_derived(name="wanted")
)
_SESSIONS = Statement(
    select(SESSIONS.c.user_id, SESSIONS.c.session_id, *_stored_session).join_from(
        _wanted,
        SESSIONS,
        and_(
            SESSIONS.c.user_id == _wanted.c.user_id,
            SESSIONS.c.session_id == _wanted.c.session_id,
        ),
    )
)
_input = (
    func.unnest(
        _array("users", Uuid),
        _array("sessions", Uuid),
        _array("epochs", BigInteger),
        _array("first_seqs", BigInteger),
        _array("last_seqs", BigInteger),
        _array("samples", Integer),
        _array("bodies", LargeBinary),
    )
    .table_valued(
        column("user_id", Uuid),
        column("session_id", Uuid),
        column("epoch", BigInteger),
        column("first_seq", BigInteger),
        column("last_seq", BigInteger),
        column("samples", Integer),
        column("body", LargeBinary),
    )
    .render_derived(name="input")
)
_advanced = (
    update(SESSIONS)
    .where(
        SESSIONS.c.user_id == _input.c.user_id,
        SESSIONS.c.session_id == _input.c.session_id,
        SESSIONS.c.epoch == _input.c.epoch,
        SESSIONS.c.last_seq == _input.c.first_seq - 1,
        ~SESSIONS.c.closed,
    )
    .values(
        last_seq=_input.c.last_seq,
        sample_count=SESSIONS.c.sample_count + _input.c.samples,
        touched_at=func.now(),
    )
    .returning(SESSIONS.c.user_id, SESSIONS.c.session_id, _input.c.first_seq, _input.c.body)
    .cte("advanced")
)
_stored = (
    insert(CHUNKS)
    .from_select(
        ["user_id", "session_id", "first_seq", "body"],
        select(
            _advanced.c.user_id, _advanced.c.session_id, _advanced.c.first_seq, _advanced.c.body
        ),
    )
    .cte("stored")
)
# The samples and the sequence number that vouches for them: one statement, many sessions.
_APPEND = Statement(
    select(_advanced.c.user_id, _advanced.c.session_id).select_from(_advanced).add_cte(_stored)
)
_CLOCK = Statement(
    update(SESSIONS)
    .where(_ours, SESSIONS.c.epoch == bindparam("of_epoch"), ~SESSIONS.c.closed)
    .values(
        clock_offset_ms=bindparam("new_offset_ms"),
        clock_round_trip_ms=bindparam("new_round_trip_ms"),
    )
)
_CHUNKS = Statement(
    select(CHUNKS.c.body)
    .where(CHUNKS.c.user_id == bindparam("of_user"), CHUNKS.c.session_id == bindparam("of_session"))
    .order_by(CHUNKS.c.first_seq)
)
_CLOSE = Statement(
    update(SESSIONS)
    .where(
        _ours,
        SESSIONS.c.epoch == bindparam("of_epoch"),
        SESSIONS.c.last_seq == bindparam("seen_seq"),
        ~SESSIONS.c.closed,
    )
    .values(closed=literal(True, Boolean), touched_at=bindparam("ended_at"))
)
_finished = (
    update(ACTIVITIES)
    .where(
        ACTIVITIES.c.user_id == bindparam("of_user"),
        ACTIVITIES.c.activity_id == bindparam("of_session"),
        ACTIVITIES.c.version == bindparam("seen_version"),
        ACTIVITIES.c.deleted_at.is_(None),
    )
    .values(
        state=bindparam("new_state"),
        totals=bindparam("new_totals"),
        message=bindparam("new_message"),
        version=ACTIVITIES.c.version + 1,
        event_version=ACTIVITIES.c.event_version + 1,
    )
    .returning(ACTIVITIES.c.event_version)
    .cte("finished")
)
_FINISH = Statement(outbox.publishing(_finished, _finished.c.event_version))
_KEEP_STREAM = Statement(
    insert(STREAMS).values(
        user_id=bindparam("of_user"),
        activity_id=bindparam("of_session"),
        channel=bindparam("channel"),
        body=bindparam("body"),
    )
)
_DROP_CHUNKS = Statement(
    delete(CHUNKS).where(
        CHUNKS.c.user_id == bindparam("of_user"), CHUNKS.c.session_id == bindparam("of_session")
    )
)
_ACTIVITY = Statement(
    select(ACTIVITIES.c.message, ACTIVITIES.c.version).where(
        ACTIVITIES.c.user_id == bindparam("of_user"),
        ACTIVITIES.c.activity_id == bindparam("of_session"),
    )
)


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
        found = await self._database.row(_SESSION, _key(session))
        return None if found is None else _decoded(found)

    async def sessions(self, wanted: Sequence[SessionKey]) -> dict[SessionKey, StoredSession]:
        """Several sessions as they are stored, those that were ever opened."""
        values = {
            "users": [each.user_id for each in wanted],
            "sessions": [each.session_id for each in wanted],
        }
        rows = await self._database.rows(_SESSIONS, values)
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
        return await self._database.run(_CREATE, values) == 1

    async def take_over(self, session: SessionKey, epoch: int, seen_seq: int) -> bool:
        """Fences all older openings; false where the session moved meanwhile."""
        values = _key(session) | {"new_epoch": epoch, "seen_seq": seen_seq}
        return await self._database.run(_TAKE_OVER, values) == 1

    async def describe(
        self, session: SessionKey, epoch: int, opening: Opening, fingerprint: bytes
    ) -> bool:
        """Replaces the description of a session without samples, and takes it over."""
        values = _key(session) | {
            "new_epoch": epoch,
            "new_fingerprint": fingerprint,
            "new_description": opening.encoded,
        }
        return await self._database.run(_DESCRIBE, values) == 1

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
            return {SessionKey(*row) for row in await session.rows(_APPEND, values)}

    async def keep_clock(self, session: SessionKey, epoch: int, clock: Clock) -> None:
        """Stores the clock's offset beside the samples."""
        values = _key(session) | {
            "of_epoch": epoch,
            "new_offset_ms": clock.offset_ms,
            "new_round_trip_ms": clock.round_trip_ms,
        }
        await self._database.run(_CLOCK, values)

    async def chunks(self, session: SessionKey) -> bytes:
        """All samples of a live session, in order."""
        rows = await self._database.rows(_CHUNKS, _key(session))
        return b"".join([row[0] for row in rows])

    async def activity(self, session: SessionKey) -> tuple[bytes, int] | None:
        """The session's activity, serialised, and its version."""
        row = await self._database.row(_ACTIVITY, _key(session))
        return (bytes(row[0]), row[1]) if row else None

    async def finish(self, done: FinishedActivity, event: outbox.Message) -> bool:
        """Closes a session, keeps its streams, tells of it: all or nothing.

        False where the session moved meanwhile.
        """
        key = _key(done.session)
        values = key | {
            "seen_version": done.version,
            "new_state": done.state,
            "new_totals": done.totals,
            "new_message": done.message,
        }
        closing = key | {
            "of_epoch": done.epoch,
            "seen_seq": done.last_seq,
            "ended_at": done.at,
        }
        whole = False
        async with self._database.transaction() as session:
            if await session.run(_CLOSE, closing) != 1:
                raise Undo
            if await session.run(_FINISH, {**values, **outbox.values(event)}) != 1:
                raise Undo
            await self._keep_streams(session, done)
            await session.run(_DROP_CHUNKS, key)
            whole = True
        return whole  # noqa: RET504 - Undo leaves the block with it still false

    async def _keep_streams(self, session: Session, done: FinishedActivity) -> None:
        key = _key(done.session)
        rows = [key | {"channel": -1, "body": done.times}]
        for index, body in enumerate(done.channels):
            rows.append(key | {"channel": index, "body": body})
        await session.run_many(_KEEP_STREAM, rows)
