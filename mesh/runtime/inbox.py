"""Once in effect: a handler's change commits with the memory of its event.

The memory is the newest version of each key, for versions are dense and come
in order. A key that is parked sends its later messages to the dead letters too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from mesh.runtime.errors import Unavailable
from mesh.runtime.handler import Handler
from mesh.runtime.sql import Database, Session, Statement
from mesh.runtime.tables import DEAD_LETTERS, INBOX
from palestra.mesh.v1.event_pb2 import Event

LONGEST_ERROR: Final = 2000

_first = insert(INBOX).values(
    handler=bindparam("handler"), key=bindparam("key"), key_version=bindparam("key_version")
)
_REMEMBER = Statement(
    _first.on_conflict_do_update(
        index_elements=[INBOX.c.handler, INBOX.c.key],
        set_={"key_version": _first.excluded.key_version},
        where=INBOX.c.key_version < _first.excluded.key_version,
    ).returning(INBOX.c.key_version)
)
_PARKED = Statement(
    select(DEAD_LETTERS.c.key_version)
    .where(
        DEAD_LETTERS.c.handler == bindparam("handler"),
        DEAD_LETTERS.c.key == bindparam("key"),
        DEAD_LETTERS.c.parked,
    )
    .limit(1)
)
_BURY = Statement(
    insert(DEAD_LETTERS)
    .values({name: bindparam(name) for name in DEAD_LETTERS.c.keys()})  # noqa: SIM118
    .on_conflict_do_nothing()
)


async def handle(database: Database, handler: Handler, event: Event) -> str:
    """Runs a handler on an event; answers `applied`, `duplicate` or `parked`.

    Raises whatever the handler raises; then nothing was changed.
    """
    async with database.transaction() as session:
        if not await _remember(session, handler, event):
            return "duplicate"
        if await session.row(_PARKED, {"handler": handler.name, "key": event.key}):
            await _bury(session, handler, event, "behind a parked message", 0, parked=True)
            return "parked"
        await handler.run(session, handler.event.FromString(event.payload), event)
    return "applied"


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
