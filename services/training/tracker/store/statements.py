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
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
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
# Each is looked up by its key, whatever PostgreSQL believes of the table: OFFSET keeps it from
# turning the two round.
_theirs = (
    select(SESSIONS.c.user_id, SESSIONS.c.session_id, *_stored_session)
    .where(
        SESSIONS.c.user_id == _wanted.c.user_id,
        SESSIONS.c.session_id == _wanted.c.session_id,
    )
    .correlate(_wanted)
    .offset(literal_column("0"))
    .lateral("theirs")
)
GET_SESSIONS = Statement(select(_theirs).select_from(_wanted.join(_theirs, true())))
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
# True of every batch. PostgreSQL takes an array for ten rows and each of these for a third of
# them; by ten it would read the table and look in the array, if it was analysed with five rows.
_in_order = (
    _input.c.first_seq > 0,
    _input.c.last_seq >= _input.c.first_seq,
    _input.c.samples >= 0,
)
_advanced = (
    update(SESSIONS)
    .where(
        SESSIONS.c.user_id == _input.c.user_id,
        SESSIONS.c.session_id == _input.c.session_id,
        SESSIONS.c.epoch == _input.c.epoch,
        SESSIONS.c.last_seq == _input.c.first_seq - 1,
        ~SESSIONS.c.closed,
        *_in_order,
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
# Both rows are held before either changes: an end is whole, or nothing of it is.
_ending = (
    select(SESSIONS.c.session_id)
    .where(
        _ours,
        SESSIONS.c.epoch == bindparam("of_epoch"),
        SESSIONS.c.last_seq == bindparam("seen_seq"),
        ~SESSIONS.c.closed,
    )
    .with_for_update()
    .cte("ending")
)
_ended = (
    select(ACTIVITIES.c.activity_id)
    .join_from(_ending, ACTIVITIES, ACTIVITIES.c.activity_id == _ending.c.session_id)
    .where(
        ACTIVITIES.c.user_id == bindparam("of_user"),
        ACTIVITIES.c.version == bindparam("seen_version"),
        ACTIVITIES.c.deleted_at.is_(None),
    )
    .with_for_update(of=ACTIVITIES)
    .cte("ended")
)
_closed = (
    update(SESSIONS)
    .where(
        SESSIONS.c.user_id == bindparam("of_user"), SESSIONS.c.session_id == _ended.c.activity_id
    )
    .values(closed=literal(True, Boolean), touched_at=bindparam("ended_at"))
    .cte("closed")
)
_finished = (
    update(ACTIVITIES)
    .where(
        ACTIVITIES.c.user_id == bindparam("of_user"),
        ACTIVITIES.c.activity_id == _ended.c.activity_id,
    )
    .values(
        state=bindparam("new_state"),
        audience=bindparam("new_audience"),
        totals=bindparam("new_totals"),
        message=bindparam("new_message"),
        json=bindparam("new_json"),
        version=ACTIVITIES.c.version + 1,
        event_version=ACTIVITIES.c.event_version + 1,
    )
    .returning(ACTIVITIES.c.user_id, ACTIVITIES.c.activity_id, ACTIVITIES.c.event_version)
    .cte("finished")
)
_streams = (
    func.unnest(_array("channels", SmallInteger), _array("bodies", LargeBinary))
    .table_valued(column("channel", SmallInteger), column("body", LargeBinary))
    .render_derived(name="streams_of_it")
)
_kept = (
    insert(STREAMS)
    .from_select(
        ["user_id", "activity_id", "channel", "body"],
        select(
            _finished.c.user_id, _finished.c.activity_id, _streams.c.channel, _streams.c.body
        ).join_from(_finished, _streams, literal(True, Boolean)),
    )
    .cte("kept")
)
_dropped = (
    delete(CHUNKS)
    .where(CHUNKS.c.user_id == bindparam("of_user"), CHUNKS.c.session_id == _ended.c.activity_id)
    .cte("dropped")
)
# The session closed, the activity finished, its streams instead of its chunks, and the event.
FINISH = Statement(
    outbox.publishing(_finished, _finished.c.event_version).add_cte(_closed, _kept, _dropped)
)
# Of a session that ends: what it is made of.
GET_RECORDED = Statement(
    select(
        ACTIVITIES.c.message,
        ACTIVITIES.c.version,
        select(
            func.string_agg(
                CHUNKS.c.body,
                aggregate_order_by(literal(b"", LargeBinary), CHUNKS.c.first_seq),
            )
        )
        .where(
            CHUNKS.c.user_id == bindparam("of_user"), CHUNKS.c.session_id == bindparam("of_session")
        )
        .scalar_subquery(),
    ).where(
        ACTIVITIES.c.user_id == bindparam("of_user"),
        ACTIVITIES.c.activity_id == bindparam("of_session"),
    )
)
