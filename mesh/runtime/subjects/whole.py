"""All subjects of a service: one export of bounded pieces, one erasure of bounded steps."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from mesh.runtime.errors import invalid_field
from mesh.runtime.sql import Statement
from mesh.runtime.subjects.files import FILES, Files
from mesh.runtime.subjects.own import Traces
from mesh.runtime.subjects.subject import Piece, Reach, Subject
from mesh.runtime.tables import ERASED_PEOPLE, ERASED_THINGS

PIECE_BYTES: Final = 256 << 10
"""Records are gathered up to it; one that is longer is cut."""
ROWS_AT_ONCE: Final = 1_000
MARK = Statement(
    insert(ERASED_PEOPLE)
    .values(user_id=bindparam("of_user"), erased_at=func.now())
    .on_conflict_do_nothing()
)
_first = insert(ERASED_THINGS).values(
    user_id=bindparam("of_user"),
    table_name=bindparam("of_table"),
    count=bindparam("more"),
    last_erased_at=func.now(),
)
_COUNT = Statement(
    _first.on_conflict_do_update(
        index_elements=[ERASED_THINGS.c.user_id, ERASED_THINGS.c.table_name],
        set_={
            "count": ERASED_THINGS.c.count + _first.excluded.count,
            "last_erased_at": _first.excluded.last_erased_at,
        },
    )
)
_COUNTED = Statement(
    select(ERASED_THINGS.c.table_name, ERASED_THINGS.c.count, ERASED_THINGS.c.last_erased_at)
    .where(ERASED_THINGS.c.user_id == bindparam("of_user"))
    .order_by(ERASED_THINGS.c.table_name)
)
_asked = func.unnest(bindparam("users", type_=ARRAY(Uuid))).table_valued("user_id").render_derived()
_UNERASED = Statement(
    select(_asked.c.user_id).where(
        ~select(ERASED_PEOPLE.c.user_id).where(ERASED_PEOPLE.c.user_id == _asked.c.user_id).exists()
    )
)


@dataclass(frozen=True, slots=True)
class Erased:
    """How much of a table was erased of one person."""

    table: str
    count: int
    last_at: datetime


class Subjects:
    """What a service keeps of people."""

    def __init__(
        self, reach: Reach, subjects: Sequence[Subject], files: Files | None = None
    ) -> None:
        """Raises:
        ValueError: two subjects have one name.
        """
        self._reach = reach
        self._files = files or Files()
        self._subjects = (*subjects, Traces())
        self._by_name: dict[str, Subject | Files] = {each.name: each for each in self._subjects}
        if len(self._by_name) != len(self._subjects) or FILES in self._by_name:
            raise ValueError("each subject has a name of its own")
        self._by_name[FILES] = self._files

    async def export(self, user: uuid.UUID, cursor: str) -> AsyncIterator[Piece]:
        """Everything of a person after a cursor, in pieces of at most `PIECE_BYTES`.

        Raises:
            MeshError: INVALID_FIELD for a cursor that is none of this service's.
        """
        name, _, after = cursor.partition("/")
        names = list(self._by_name)
        if cursor and name not in names:
            raise invalid_field("cursor", "it is of no subject here")
        for each in names[names.index(name) if cursor else 0 :]:
            subject = self._by_name[each]
            try:
                found = subject.export(self._reach, user, after)
                async for piece in _gathered(each, found):
                    yield piece
            except ValueError:
                if not after:
                    raise
                raise invalid_field("cursor", "it is of no subject here") from None
            after = ""

    async def erase(self, user: uuid.UUID, budget_s: float) -> tuple[list[Erased], bool]:
        """Erases what there is for about `budget_s`; all that was erased so far, and if all is.

        From its first statement on, events about the person are not handled any more. A file
        that two calls delete at the same instant is counted by both.
        """
        database, until_s = self._reach.database, _now_s() + budget_s
        await database.run(MARK, {"of_user": user})
        await self._count(user, FILES, await self._files.erase(self._reach, user))
        is_done = True
        for subject in self._subjects:
            while more := await self._step(subject, user):
                if _now_s() >= until_s:
                    break
            is_done = is_done and not more
        return await self.erased(user), is_done

    async def erased(self, user: uuid.UUID) -> list[Erased]:
        """How much was erased of a person so far, by table."""
        rows = await self._reach.database.rows(_COUNTED, {"of_user": user})
        return [Erased(*row) for row in rows]

    async def unerased(self, users: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        """Those of them who were not erased here."""
        rows = await self._reach.database.rows(_UNERASED, {"users": list(users)})
        return [user for (user,) in rows]

    async def _step(self, subject: Subject, user: uuid.UUID) -> bool:
        """Erases some rows, and counts them with it; whether there may be more."""
        async with self._reach.database.transaction() as session:
            gone = await subject.erase(self._reach, session, user, ROWS_AT_ONCE)
            for table, count in gone.items():
                if count:
                    values = {"of_user": user, "of_table": table, "more": count}
                    await session.run(_COUNT, values)
        return any(count >= ROWS_AT_ONCE for count in gone.values())

    async def _count(self, user: uuid.UUID, table: str, count: int) -> None:
        if count:
            values: dict[str, Any] = {"of_user": user, "of_table": table, "more": count}
            await self._reach.database.run(_COUNT, values)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _gathered(subject: str, found: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """The same bytes in pieces of a good size, with cursors of the whole service."""
    file, held, cursor = "", bytearray(), ""
    async for piece in found:
        if piece.file != file or len(held) + len(piece.content) > PIECE_BYTES:
            if held:
                yield Piece(file, bytes(held), cursor)
            held.clear()
        file = piece.file
        cursor = f"{subject}/{piece.cursor}" if piece.cursor else ""
        held += piece.content
        while len(held) > PIECE_BYTES:
            yield Piece(file, bytes(held[:PIECE_BYTES]), "")
            del held[:PIECE_BYTES]
    if held:
        yield Piece(file, bytes(held), cursor)
