"""The tracker's statements, compiled once at import.

Fencing and dedupe are their conditions: what a worker remembers of a session is a
hint, never the truth.
"""

from __future__ import annotations

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
from mesh.runtime.sql import Statement
from services.training.tables import ACTIVITIES, CHUNKS, SESSIONS, STREAMS

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
GET_SESSION = Statement(select(*_stored_session).where(_ours))
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
CREATE = Statement(
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
TAKE_OVER = Statement(
    update(SESSIONS)
    .where(
        _ours,
        SESSIONS.c.epoch < bindparam("new_epoch"),
        SESSIONS.c.last_seq == bindparam("seen_seq"),
        ~SESSIONS.c.closed,
    )
    .values(epoch=bindparam("new_epoch"), touched_at=func.now())
)
DESCRIBE = Statement(
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
GET_SESSIONS = Statement(
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
APPEND = Statement(
    select(_advanced.c.user_id, _advanced.c.session_id).select_from(_advanced).add_cte(_stored)
)
CLOCK = Statement(
    update(SESSIONS)
    .where(_ours, SESSIONS.c.epoch == bindparam("of_epoch"), ~SESSIONS.c.closed)
    .values(
        clock_offset_ms=bindparam("new_offset_ms"),
        clock_round_trip_ms=bindparam("new_round_trip_ms"),
    )
)
GET_CHUNKS = Statement(
    select(CHUNKS.c.body)
    .where(CHUNKS.c.user_id == bindparam("of_user"), CHUNKS.c.session_id == bindparam("of_session"))
    .order_by(CHUNKS.c.first_seq)
)
CLOSE = Statement(
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
FINISH = Statement(outbox.publishing(_finished, _finished.c.event_version))
KEEP_STREAM = Statement(
    insert(STREAMS).values(
        user_id=bindparam("of_user"),
        activity_id=bindparam("of_session"),
        channel=bindparam("channel"),
        body=bindparam("body"),
    )
)
DROP_CHUNKS = Statement(
    delete(CHUNKS).where(
        CHUNKS.c.user_id == bindparam("of_user"), CHUNKS.c.session_id == bindparam("of_session")
    )
)
GET_ACTIVITY = Statement(
    select(ACTIVITIES.c.message, ACTIVITIES.c.version).where(
        ACTIVITIES.c.user_id == bindparam("of_user"),
        ACTIVITIES.c.activity_id == bindparam("of_session"),
    )
)
