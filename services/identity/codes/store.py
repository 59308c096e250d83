"""Codes in SQL: asked for, made, guessed, used; each of them one statement."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    CTE,
    ColumnElement,
    DateTime,
    Interval,
    Select,
    and_,
    any_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as upsert

from mesh.runtime.sql import Database, Statement
from services.identity.codes import rules
from services.identity.codes.rules import Guess, Purpose
from services.identity.tables.codes import CODES

_NOW = bindparam("now", type_=DateTime(timezone=True))
_of = and_(
    CODES.c.user_id == bindparam("of_user"),
    CODES.c.purpose == bindparam("of_purpose"),
    CODES.c.address_id == bindparam("of_address"),
)
_is_right = CODES.c.code_hash == any_(bindparam("hashes", type_=ARRAY(BYTEA)))
_is_alive = and_(CODES.c.expires_at > _NOW, CODES.c.attempts_left > 0)


def _after(earlier: ColumnElement[int]) -> ColumnElement[timedelta]:
    """How long after its `earlier`th letter the next one may be asked for."""
    wait_s = func.least(
        rules.NEXT_LETTER_AFTER.total_seconds() * func.power(2, earlier - 1),
        rules.LONGEST_UNTIL_NEXT_LETTER.total_seconds(),
    )
    return func.make_interval(0, 0, 0, 0, 0, 0, wait_s, type_=Interval)


def asking(whose: Select[tuple[uuid.UUID, uuid.UUID]], purpose: Purpose, now: str) -> CTE:
    """A letter with a code is asked for, for the users and addresses of `whose`.

    Answers with `user_id` and `address_id` of those whose last letter is long enough ago:
    for the others nothing happens. `now` names the bind value of the time.
    """
    found = whose.subquery()
    time = bindparam(now, type_=TIMESTAMP(timezone=True))
    row = select(
        found.c.user_id, literal(purpose.value), found.c.address_id, time, 1, literal(0)
    ).select_from(found)
    forgotten = CODES.c.asked_at <= time - cast(rules.FORGOTTEN_AFTER, Interval)
    insert = upsert(CODES).from_select(
        ["user_id", "purpose", "address_id", "asked_at", "asks", "attempts_left"], row
    )
    return (
        insert.on_conflict_do_update(
            index_elements=[CODES.c.user_id, CODES.c.purpose, CODES.c.address_id],
            set_={
                "asked_at": insert.excluded.asked_at,
                "asks": case((forgotten, 1), else_=func.least(CODES.c.asks + 1, 12)),
            },
            where=or_(forgotten, CODES.c.asked_at <= time - _after(CODES.c.asks)),
        )
        .returning(CODES.c.user_id, CODES.c.address_id)
        .cte(f"asked_{purpose.value}")
    )


_MAKE = Statement(
    update(CODES)
    .where(_of)
    .values(
        code_hash=bindparam("code_hash", type_=BYTEA),
        expires_at=bindparam("expires_at"),
        attempts_left=rules.MOST_GUESSES,
        used_at=null(),
    )
)
# A wrong one takes an attempt, a right one none: it is one answer, told by one row.
_GUESS = Statement(
    update(CODES)
    .where(_of, _is_alive)
    .values(attempts_left=CODES.c.attempts_left - case((_is_right, 0), else_=1))
    .returning(_is_right, CODES.c.used_at.is_not(None))
)
_PURGE = Statement(
    delete(CODES).where(
        CODES.c.asked_at < bindparam("before"),
        or_(CODES.c.expires_at.is_(None), CODES.c.expires_at < bindparam("before")),
    )
)


def using() -> CTE:
    """The one use of a code: a row for whoever uses it first, none for all others.

    To be composed with what the use does. The bind values come from `use_values`.
    """
    return (
        update(CODES)
        .where(_of, _is_right, _is_alive, CODES.c.used_at.is_(None))
        .values(used_at=_NOW)
        .returning(CODES.c.user_id, CODES.c.address_id)
        .cte("used")
    )


def values_of(
    user_id: uuid.UUID,
    purpose: Purpose,
    address_id: uuid.UUID,
    hashes: Sequence[bytes],
    now: datetime,
) -> dict[str, object]:
    """The bind values of a code that is shown."""
    return {
        "of_user": user_id,
        "of_purpose": purpose.value,
        "of_address": address_id,
        "hashes": list(hashes),
        "now": now,
    }


class CodeStore:
    """Rows of codes <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(
        self,
        user_id: uuid.UUID,
        purpose: Purpose,
        address_id: uuid.UUID,
        code_hash: bytes,
        expires_at: datetime,
    ) -> bool:
        """Keeps the hash of a new code: it is the one that holds. False where none was asked."""
        values = {
            "of_user": user_id,
            "of_purpose": purpose.value,
            "of_address": address_id,
            "code_hash": code_hash,
            "expires_at": expires_at,
        }
        return await self._database.run(_MAKE, values) == 1

    async def guess(self, values: dict[str, object]) -> Guess:
        """What a code turns out to be; a wrong one is counted. Values as of `values_of`."""
        row = await self._database.row(_GUESS, values)
        if row is None:
            return Guess(is_right=False, was_used=False)
        return Guess(bool(row[0]), bool(row[0]) and bool(row[1]))

    async def purge(self, before: datetime) -> None:
        """Forgets codes that were over before then."""
        await self._database.run(_PURGE, {"before": before})
