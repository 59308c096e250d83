"""Exports in SQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Integer,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime.sql import Conflict, Database, Statement, Undo
from services.identity.exports.rules import Export, ExportUnderWay, State, Step, UserNotFound
from services.identity.letters import store as letters
from services.identity.letters.rules import Kind, Letter
from services.identity.tables.privacy import EXPORT_PARTS, EXPORT_STEPS, EXPORTS

UNDER_WAY = (State.GATHERING.value, State.ASSEMBLING.value)
_time = DateTime(timezone=True)
_now = bindparam("now", type_=_time)
_columns = [column for column in EXPORTS.c]  # noqa: C416 - a list of what iterates columns
_ours = and_(
    EXPORTS.c.user_id == bindparam("of_user", type_=Uuid()),
    EXPORTS.c.export_id == bindparam("of_export", type_=Uuid()),
)
_step_of_export = and_(
    EXPORT_STEPS.c.user_id == bindparam("of_user", type_=Uuid()),
    EXPORT_STEPS.c.export_id == bindparam("of_export", type_=Uuid()),
)
_step = _step_of_export & (EXPORT_STEPS.c.service == bindparam("of_service", type_=Text()))
_parts_of_export = and_(
    EXPORT_PARTS.c.user_id == bindparam("of_user", type_=Uuid()),
    EXPORT_PARTS.c.export_id == bindparam("of_export", type_=Uuid()),
)
_new = (
    insert(EXPORTS)
    .values(
        user_id=bindparam("of_user"),
        export_id=bindparam("of_export"),
        state=State.GATHERING.value,
        language=bindparam("language"),
        created_at=_now,
        size_bytes=0,
        file="",
        revision=1,
    )
    .returning(EXPORTS.c.user_id, EXPORTS.c.export_id)
    .cte("new")
)
_services = (
    func.unnest(bindparam("services", type_=ARRAY(Text))).table_valued("service").render_derived()
)
_REQUEST = Statement(
    insert(EXPORT_STEPS).from_select(
        [column.name for column in EXPORT_STEPS.c],
        select(
            _new.c.user_id,
            _new.c.export_id,
            _services.c.service,
            literal(False),
            literal(""),
            literal(0),
            literal(0, BigInteger),
            literal(0, BigInteger),
            literal(0),
            _now,
        ),
    )
)
_EXPORT = Statement(select(*_columns).where(_ours))
_EXPORTS = Statement(
    select(*_columns)
    .where(EXPORTS.c.user_id == bindparam("of_user"))
    .order_by(EXPORTS.c.created_at.desc(), EXPORTS.c.export_id)
    .limit(bindparam("most", type_=Integer))
)
_STEPS = Statement(
    select(
        EXPORT_STEPS.c.service,
        EXPORT_STEPS.c.done,
        EXPORT_STEPS.c.size_bytes,
        EXPORT_STEPS.c.attempts,
        EXPORT_STEPS.c.next_at,
    )
    .where(_step_of_export)
    .order_by(EXPORT_STEPS.c.service)
)
_UNDER_WAY = Statement(
    select(EXPORTS.c.user_id, EXPORTS.c.export_id)
    .where(EXPORTS.c.state.in_([literal(state) for state in UNDER_WAY]))
    .order_by(EXPORTS.c.created_at)
    .limit(bindparam("most", type_=Integer))
)
_BEGIN = Statement(
    update(EXPORT_STEPS)
    .where(_step, ~EXPORT_STEPS.c.done)
    .values(fence=EXPORT_STEPS.c.fence + 1)
    .returning(EXPORT_STEPS.c.fence, EXPORT_STEPS.c.cursor, EXPORT_STEPS.c.parts)
)
# What came after the last place to go on from comes again.
_DROP_LATER = Statement(
    delete(EXPORT_PARTS)
    .where(
        _parts_of_export,
        EXPORT_PARTS.c.service == bindparam("of_service"),
        EXPORT_PARTS.c.number >= bindparam("parts", type_=Integer),
    )
    .returning(EXPORT_PARTS.c.file)
)
_goes_on = or_(bindparam("cursor", type_=Text()) != "", bindparam("done", type_=Boolean()))
_mine = (
    update(EXPORT_STEPS)
    .where(_step, EXPORT_STEPS.c.fence == bindparam("fence", type_=BigInteger()))
    .values(
        done=bindparam("done", type_=Boolean()),
        cursor=case((_goes_on, bindparam("cursor", type_=Text())), else_=EXPORT_STEPS.c.cursor),
        parts=case((_goes_on, bindparam("parts_now", type_=Integer())), else_=EXPORT_STEPS.c.parts),
        size_bytes=EXPORT_STEPS.c.size_bytes + bindparam("more_bytes", type_=BigInteger()),
        attempts=0,
    )
    .returning(EXPORT_STEPS.c.user_id, EXPORT_STEPS.c.export_id)
    .cte("mine")
)
_seen = (
    update(EXPORTS)
    .where(EXPORTS.c.user_id == _mine.c.user_id, EXPORTS.c.export_id == _mine.c.export_id)
    .values(revision=EXPORTS.c.revision + 1)
    .returning(literal(1))
    .cte("seen")
)
_part = (
    insert(EXPORT_PARTS)
    .from_select(
        [column.name for column in EXPORT_PARTS.c],
        select(
            _mine.c.user_id,
            _mine.c.export_id,
            bindparam("of_service", type_=Text()),
            bindparam("number", type_=Integer()),
            bindparam("file", type_=Text()),
        ).where(bindparam("file", type_=Text()) != ""),
    )
    .cte("part")
)
_KEEP = Statement(select(_mine.c.export_id).add_cte(_seen, _part))
_POSTPONE = Statement(
    update(EXPORT_STEPS)
    .where(_step, ~EXPORT_STEPS.c.done)
    .values(attempts=EXPORT_STEPS.c.attempts + 1, next_at=bindparam("next_at"))
)
_GATHERED = Statement(
    update(EXPORTS)
    .where(
        _ours,
        EXPORTS.c.state == State.GATHERING.value,
        ~exists().where(_step_of_export, ~EXPORT_STEPS.c.done),
    )
    .values(state=State.ASSEMBLING.value, revision=EXPORTS.c.revision + 1)
)
_PARTS = Statement(
    select(EXPORT_PARTS.c.service, EXPORT_PARTS.c.file)
    .where(_parts_of_export)
    .order_by(EXPORT_PARTS.c.service, EXPORT_PARTS.c.number)
)
_ready = (
    update(EXPORTS)
    .where(_ours, EXPORTS.c.state == State.ASSEMBLING.value)
    .values(
        state=State.READY.value,
        finished_at=_now,
        expires_at=bindparam("expires_at"),
        size_bytes=bindparam("size_bytes"),
        file=bindparam("file"),
        revision=EXPORTS.c.revision + 1,
    )
    .returning(EXPORTS.c.user_id)
    .cte("ready")
)
_READY = Statement(letters.asking(_ready))
_END = Statement(
    update(EXPORTS)
    .where(_ours, EXPORTS.c.state == bindparam("before", type_=Integer()))
    .values(state=bindparam("after"), revision=EXPORTS.c.revision + 1)
)
_failed = (
    update(EXPORTS)
    .where(_ours, EXPORTS.c.state.in_([literal(state) for state in UNDER_WAY]))
    .values(state=State.FAILED.value, revision=EXPORTS.c.revision + 1)
    .returning(EXPORTS.c.user_id)
    .cte("failed")
)
_FAIL = Statement(letters.asking(_failed))
_AGAIN = Statement(
    update(EXPORT_STEPS)
    .where(_step_of_export)
    .values(done=False, cursor="", parts=0, size_bytes=0, fence=EXPORT_STEPS.c.fence + 1)
)
_DROP_PARTS = Statement(delete(EXPORT_PARTS).where(_parts_of_export))
_DROP_STEPS = Statement(delete(EXPORT_STEPS).where(_step_of_export))
_DROP = Statement(delete(EXPORTS).where(_ours))
_LEFT = Statement(
    select(EXPORT_PARTS.c.user_id, EXPORT_PARTS.c.export_id)
    .distinct()
    .join(
        EXPORTS,
        and_(
            EXPORTS.c.user_id == EXPORT_PARTS.c.user_id,
            EXPORTS.c.export_id == EXPORT_PARTS.c.export_id,
        ),
    )
    .where(EXPORTS.c.state.not_in([literal(state) for state in UNDER_WAY]))
    .limit(bindparam("most", type_=Integer))
)
_OVER = Statement(
    select(*_columns)
    .where(EXPORTS.c.state == literal(State.READY.value), EXPORTS.c.expires_at <= _now)
    .limit(bindparam("most", type_=Integer))
)
_OLD = Statement(
    select(EXPORTS.c.user_id, EXPORTS.c.export_id)
    .where(
        EXPORTS.c.created_at < bindparam("before", type_=_time),
        EXPORTS.c.state.in_([literal(State.EXPIRED.value), literal(State.FAILED.value)]),
    )
    .limit(bindparam("most", type_=Integer))
)


@dataclass(slots=True)
class Begun:
    """One process's work on one service's step."""

    user_id: uuid.UUID
    export_id: uuid.UUID
    service: str
    fence: int
    cursor: str
    number: int
    """Of the next part."""
    dropped: list[str]
    """Files of parts that come again."""


class ExportStore:
    """Rows of exports <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def request(
        self,
        user_id: uuid.UUID,
        export_id: uuid.UUID,
        language: str,
        services: Sequence[str],
        now: datetime,
    ) -> bool:
        """Makes an export with a step for each service; false where it is there already.

        Raises:
            ExportUnderWay, UserNotFound
        """
        values = _key(user_id, export_id) | {
            "language": language,
            "services": list(services),
            "now": now,
        }
        try:
            await self._database.run(_REQUEST, values)
        except Conflict as conflict:
            if conflict.constraint == "exports_pkey":
                return False
            if conflict.constraint == "exports_under_way":
                # Perhaps its own twin, which was faster.
                if await self.export(user_id, export_id) is not None:
                    return False
                raise ExportUnderWay from None
            if conflict.constraint == "exports_user_id_fkey":
                raise UserNotFound from None
            raise
        return True

    async def export(self, user_id: uuid.UUID, export_id: uuid.UUID) -> Export | None:
        """An export, if there is such a one."""
        row = await self._database.row(_EXPORT, _key(user_id, export_id))
        return _export(row) if row else None

    async def exports(self, user_id: uuid.UUID, most: int) -> list[Export]:
        """A person's exports, the newest first."""
        rows = await self._database.rows(_EXPORTS, {"of_user": user_id, "most": most})
        return [_export(row) for row in rows]

    async def steps(self, user_id: uuid.UUID, export_id: uuid.UUID) -> list[Step]:
        """How far each service is."""
        rows = await self._database.rows(_STEPS, _key(user_id, export_id))
        return [Step(*row) for row in rows]

    async def under_way(self, most: int) -> list[tuple[uuid.UUID, uuid.UUID]]:
        """What is to be worked on, the oldest first."""
        rows = await self._database.rows(_UNDER_WAY, {"most": most})
        return [(user, export) for user, export in rows]

    async def begin(self, user_id: uuid.UUID, export_id: uuid.UUID, service: str) -> Begun | None:
        """Takes a step over; None where it is done."""
        values: dict[str, Any] = _key(user_id, export_id) | {"of_service": service}
        async with self._database.transaction() as session:
            row = await session.row(_BEGIN, values)
            if row is None:
                return None
            fence, cursor, parts = row
            rows = await session.rows(_DROP_LATER, values | {"parts": parts})
        dropped = [file for (file,) in rows]
        return Begun(user_id, export_id, service, fence, cursor, parts, dropped)

    async def keep(self, begun: Begun, file: str, cursor: str, size: int, *, done: bool) -> bool:
        """Remembers a part, and how far the step is; false where another took it over.

        `file` is empty where there was nothing more to write, `cursor` where nobody can go on
        after the part.
        """
        values = _key(begun.user_id, begun.export_id) | {
            "of_service": begun.service,
            "fence": begun.fence,
            "file": file,
            "cursor": cursor,
            "number": begun.number,
            "parts_now": begun.number + bool(file),
            "more_bytes": size,
            "done": done,
        }
        return await self._database.row(_KEEP, values) is not None

    async def postpone(
        self, user_id: uuid.UUID, export_id: uuid.UUID, service: str, next_at: datetime
    ) -> None:
        """A service did not answer: it is asked again then."""
        values = _key(user_id, export_id) | {"of_service": service, "next_at": next_at}
        await self._database.run(_POSTPONE, values)

    async def gathered(self, user_id: uuid.UUID, export_id: uuid.UUID) -> None:
        """All services gave out all: the archive can be made."""
        await self._database.run(_GATHERED, _key(user_id, export_id))

    async def parts(self, user_id: uuid.UUID, export_id: uuid.UUID) -> list[tuple[str, str]]:
        """The service and the file of each part, in order."""
        rows = await self._database.rows(_PARTS, _key(user_id, export_id))
        return [(service, file) for service, file in rows]

    async def ready(
        self, export: Export, file: str, size_bytes: int, now: datetime, expires_at: datetime
    ) -> bool:
        """The archive is there, and its person is told; false where another made it first."""
        told = Letter(Kind.EXPORT_READY, export.user_id, None, {"until": f"{expires_at:%Y-%m-%d}"})
        values = _key(export.user_id, export.export_id) | {
            "file": file,
            "size_bytes": size_bytes,
            "now": now,
            "expires_at": expires_at,
            **letters.values(told, now),
        }
        return await self._database.run(_READY, values) == 1

    async def fail(self, export: Export, now: datetime) -> None:
        """It will not be made any more, and its person is told."""
        told = letters.values(Letter(Kind.EXPORT_FAILED, export.user_id), now)
        await self._database.run(_FAIL, {**_key(export.user_id, export.export_id), **told})

    async def end(self, export: Export, state: State) -> None:
        """Moves an export to a state in which nothing happens any more."""
        values = _key(export.user_id, export.export_id)
        await self._database.run(_END, values | {"before": export.state, "after": state})

    async def again(self, export: Export) -> None:
        """A part is gone: everything is gathered anew."""
        key = _key(export.user_id, export.export_id)
        async with self._database.transaction() as session:
            values = key | {"before": State.ASSEMBLING.value, "after": State.GATHERING.value}
            if await session.run(_END, values) != 1:
                raise Undo
            await session.run(_DROP_PARTS, key)
            await session.run(_AGAIN, key)

    async def with_parts_left(self, most: int) -> list[tuple[uuid.UUID, uuid.UUID]]:
        """Exports that ended and whose parts are still there."""
        rows = await self._database.rows(_LEFT, {"most": most})
        return [(user, export) for user, export in rows]

    async def drop_parts(self, user_id: uuid.UUID, export_id: uuid.UUID) -> None:
        """Forgets the parts; their files are gone."""
        await self._database.run(_DROP_PARTS, _key(user_id, export_id))

    async def over(self, now: datetime, most: int) -> list[Export]:
        """Whose archive is to be deleted."""
        return [
            _export(row) for row in await self._database.rows(_OVER, {"now": now, "most": most})
        ]

    async def forget(self, before: datetime, most: int) -> int:
        """Deletes what ended, and was asked for before then; how many."""
        rows = await self._database.rows(_OLD, {"before": before, "most": most})
        for user_id, export_id in rows:
            key = _key(user_id, export_id)
            async with self._database.transaction() as session:
                for statement in (_DROP_PARTS, _DROP_STEPS, _DROP):
                    await session.run(statement, key)
        return len(rows)


def _key(user_id: uuid.UUID, export_id: uuid.UUID) -> dict[str, Any]:
    return {"of_user": user_id, "of_export": export_id}


def _export(row: tuple[Any, ...]) -> Export:
    user_id, export_id, state, *rest = row
    return Export(user_id, export_id, State(state), *rest)
