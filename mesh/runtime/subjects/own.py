"""What the runtime's own tables hold of a person, in every service."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import orjson
from sqlalchemy import Integer, Text, Uuid, and_, bindparam, delete, select, tuple_

from mesh.runtime.sql import Session, Statement
from mesh.runtime.subjects.subject import Piece, Reach
from mesh.runtime.tables import AUDIT, DEAD_LETTERS, INBOX
from mesh.runtime.tables import RELATIONS_KNOWN as KNOWN
from mesh.runtime.tables import RELATIONS_REPLICA as REPLICA

PAGE: Final = 200
KEPT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "outbox": "events of 24 hours, dropped by the hour; they are gone before an erasure ends",
        "repeats": "hashes and a reference, dropped within 48 hours, before an erasure ends",
        "erased_people": "the ids of those who were erased, so that they stay erased",
        "erased_things": "how much was erased, for the certificate",
        "relations_feeds": "how far the bus is, of nobody",
        "relations_copying": "where fetching the relations goes on, of nobody",
        "runtime_version": "of the schema",
        "service_version": "of the schema",
    }
)
"""The runtime's tables that no subject covers, each with its reason."""
_actor: Any = bindparam("actor", type_=Text())
_AUDIT = Statement(
    select(AUDIT.c.id, AUDIT.c.at, AUDIT.c.method, AUDIT.c.resource, AUDIT.c.outcome)
    .where(AUDIT.c.actor == _actor, AUDIT.c.id > bindparam("after", type_=Uuid()))
    .order_by(AUDIT.c.id)
    .limit(PAGE)
)


def _of_key(table: Any) -> Statement:
    """Deletes rows whose key is the person, or something of his."""
    # `0` is the character after `/`: a range of an index, not a pattern.
    his = and_(
        table.c.key >= _actor,
        table.c.key < bindparam("beyond", type_=Text()),
        (table.c.key == _actor) | table.c.key.startswith(bindparam("below", type_=Text())),
    )
    key = list(table.primary_key.columns)
    found = select(*key).where(his).limit(bindparam("most", type_=Integer))
    return Statement(delete(table).where(tuple_(*key).in_(found)))


_his = (
    select(REPLICA.c.owner_id)
    .where(REPLICA.c.viewer_id == bindparam("of_user", type_=Uuid()))
    .limit(bindparam("most", type_=Integer))
    .cte("his")
)
# Each pair is there twice, once as each of the two sees the other.
_theirs = (
    delete(REPLICA)
    .where(
        REPLICA.c.viewer_id == _his.c.owner_id,
        REPLICA.c.owner_id == bindparam("of_user", type_=Uuid()),
    )
    .returning(REPLICA.c.owner_id)
    .cte("theirs")
)
_ERASE_PAIRS = Statement(
    delete(REPLICA)
    .where(
        REPLICA.c.viewer_id == bindparam("of_user", type_=Uuid()),
        REPLICA.c.owner_id == _his.c.owner_id,
    )
    .add_cte(_theirs)
)
_ERASE_KNOWN = Statement(delete(KNOWN).where(KNOWN.c.user_id == bindparam("of_user", type_=Uuid())))
_ERASE = {table.name: _of_key(table) for table in (INBOX, DEAD_LETTERS)}


@dataclass(frozen=True, slots=True)
class Traces:
    """Audit records that he caused; what is remembered of events about him.

    Audit records are given out and not erased: they name him by an id that names nobody
    any more, and go when their time is over (`mesh.runtime.retention`).
    """

    @property
    def name(self) -> str:
        """Of cursors."""
        return "traces"

    @property
    def tables(self) -> frozenset[str]:
        """Of the runtime's; for the others see `KEPT`."""
        of_relations = (REPLICA.name, KNOWN.name)
        return frozenset({AUDIT.name, INBOX.name, DEAD_LETTERS.name, *of_relations})

    async def export(self, reach: Reach, user: uuid.UUID, after: str) -> AsyncIterator[Piece]:
        """What he did, as it was recorded."""
        place = uuid.UUID(after) if after else uuid.UUID(int=0)
        while True:
            values = {"actor": f"users/{user}", "after": place}
            rows = await reach.database.rows(_AUDIT, values)
            for place, at, method, resource, outcome in rows:
                told = {"at": at, "method": method, "resource": resource, "outcome": outcome}
                line = orjson.dumps(told, option=orjson.OPT_UTC_Z) + b"\n"
                yield Piece("audit_records.jsonl", line, str(place))
            if len(rows) < PAGE:
                return

    async def erase(
        self, reach: Reach, session: Session, user: uuid.UUID, most: int
    ) -> Mapping[str, int]:
        """Forgets which events about him were handled, and those that could not be."""
        del reach
        name = f"users/{user}"
        values = {"actor": name, "beyond": f"{name}0", "below": f"{name}/", "most": most}
        gone = {table: await session.run(each, values) for table, each in _ERASE.items()}
        # Relations are identity's to give out; here is a copy.
        gone[REPLICA.name] = await session.run(_ERASE_PAIRS, {"of_user": user, "most": most})
        gone[KNOWN.name] = await session.run(_ERASE_KNOWN, {"of_user": user})
        return gone
