"""Once in effect: a handler's change commits with the memory of its event.

The memory is the newest version of each key, for versions are dense and come
in order. A key that is parked sends its later messages to the dead letters too. Of
who was erased nothing is written any more: what was still under way about him is dropped.
A key of which nothing was heard for `INBOX_KEPT` is forgotten: no event is that old.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Uuid, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from mesh.runtime.errors import Unavailable
from mesh.runtime.handler import Handler
from mesh.runtime.sql import Database, Session, Statement, Undo
from mesh.runtime.tables import DEAD_LETTERS, ERASED_PEOPLE, INBOX
from palestra.mesh.v1.event_pb2 import Event

LONGEST_ERROR: Final = 2000
USER_ERASED: Final = "palestra.identity.v1.UserErased"

_first = insert(INBOX).values(
    handler=bindparam("handler"),
    key=bindparam("key"),
    key_version=bindparam("key_version"),
    handled_at=func.now(),
)
_REMEMBER = Statement(
    _first.on_conflict_do_update(
        index_elements=[INBOX.c.handler, INBOX.c.key],
        set_={
            "key_version": _first.excluded.key_version,
            "handled_at": _first.excluded.handled_at,
        },
        where=INBOX.c.key_version < _first.excluded.key_version,
    ).returning(INBOX.c.key_version)
)
# What keeps an event from its handler; that its person was erased comes first.
_STOPPED = Statement(
    select(literal("erased").label("why"))
    .where(ERASED_PEOPLE.c.user_id == bindparam("person", type_=Uuid()))
    .union_all(
        select(literal("parked")).where(
            DEAD_LETTERS.c.handler == bindparam("handler"),
            DEAD_LETTERS.c.key == bindparam("key"),
            DEAD_LETTERS.c.parked,
        )
    )
    .order_by("why")
    .limit(1)
)
_BURY = Statement(
    insert(DEAD_LETTERS)
    .values({name: bindparam(name) for name in DEAD_LETTERS.c.keys()})  # noqa: SIM118
    .on_conflict_do_nothing()
)


async def handle(database: Database, handler: Handler, event: Event) -> str:
    """Runs a handler on an event; answers `applied`, `duplicate`, `parked` or `erased`.

    Raises whatever the handler raises; then nothing was changed.
    """
    effect = "erased"
    async with database.transaction() as session:
        if not await _remember(session, handler, event):
            return "duplicate"
        stopped = await _stopped(session, handler, event)
        if stopped == "erased":
            # Not even remembered.
            raise Undo
        effect = stopped or "applied"
        if effect == "parked":
            await _bury(session, handler, event, "behind a parked message", 0, parked=True)
        else:
            await handler.run(session, handler.event.FromString(event.payload), event)
    return effect


async def give_up(
    database: Database, handler: Handler, event: Event, error: BaseException, attempts: int
) -> None:
    """Puts a message that keeps failing among the dead letters, so that others go on."""
    async with database.transaction() as session:
        if await _remember(session, handler, event):
            text = f"{type(error).__name__}: {error}"
            parked = not handler.commutative
            await _bury(session, handler, event, text, attempts, parked=parked)


def fault_of_message(error: BaseException) -> bool:
    """Whether trying again can ever end otherwise: not while a store is merely away."""
    return not isinstance(error, Unavailable)


async def _stopped(session: Session, handler: Handler, event: Event) -> str | None:
    """What keeps an event from its handler, if anything does."""
    values = {"handler": handler.name, "key": event.key, "person": _person(event)}
    found = await session.row(_STOPPED, values)
    return str(found[0]) if found else None


def _person(event: Event) -> uuid.UUID | None:
    """Whose thing the event is about; of his erasure itself everybody hears."""
    if event.type == USER_ERASED:
        return None
    collection, _, rest = event.key.partition("/")
    try:
        return uuid.UUID(rest.partition("/")[0]) if collection == "users" else None
    except ValueError:
        return None


async def _remember(session: Session, handler: Handler, event: Event) -> bool:
    values = {"handler": handler.name, "key": event.key, "key_version": event.key_version}
    return await session.row(_REMEMBER, values) is not None


async def _bury(
    session: Session, handler: Handler, event: Event, error: str, attempts: int, *, parked: bool
) -> None:
    await session.run(
        _BURY,
        {
            "handler": handler.name,
            "key": event.key,
            "key_version": event.key_version,
            "type": event.type,
            "event": event.SerializeToString(),
            "error": error[:LONGEST_ERROR],
            "attempts": attempts,
            "parked": parked,
            "failed_at": datetime.now(UTC),
        },
    )
