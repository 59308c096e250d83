"""Letters in SQL: asked for in the statement of the change, claimed by one process at a time."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    DateTime,
    Insert,
    Interval,
    Select,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, TEXT, TIMESTAMP, UUID

from mesh.runtime.ids import uuid7
from mesh.runtime.sql import Database, Statement
from services.identity.letters import rules
from services.identity.letters.rules import Addressee, Kind, Letter, Waiting
from services.identity.tables.auth import ACCOUNTS, ADDRESSES
from services.identity.tables.letters import LETTERS
from services.identity.tables.settings import SETTINGS

_COLUMNS = (
    "user_id",
    "letter_id",
    "kind",
    "address_id",
    "details",
    "created_at",
    "due_at",
    "attempts",
)


def asking(change: CTE, name: str = "letter") -> Insert:
    """An insert of one letter where `change` answered with at least one row.

    The statement's values come from `values(letter, now)`, of the same `name`.
    """
    row = select(
        bindparam(f"{name}_user", type_=UUID),
        bindparam(f"{name}_id", type_=UUID),
        bindparam(f"{name}_kind", type_=TEXT),
        bindparam(f"{name}_address", type_=UUID),
        cast(bindparam(f"{name}_details", type_=TEXT), JSONB),
        bindparam(f"{name}_now", type_=TIMESTAMP(timezone=True)),
        bindparam(f"{name}_now", type_=TIMESTAMP(timezone=True)),
        literal(0),
    ).where(select(literal(1)).select_from(change).exists())
    return insert(LETTERS).from_select(_COLUMNS, row)


def values(letter: Letter, now: datetime, name: str = "letter") -> Mapping[str, Any]:
    """The bind values of `asking` for one letter."""
    return {
        f"{name}_user": letter.user_id,
        f"{name}_id": uuid7(),
        f"{name}_kind": letter.kind.value,
        f"{name}_address": letter.address_id,
        f"{name}_details": json.dumps(dict(letter.details)),
        f"{name}_now": now,
    }


def with_codes(asked: CTE, kind: Kind, now: str) -> Insert:
    """A letter to each user and address of `asked` (see `codes.store.asking`)."""
    time = bindparam(now, type_=TIMESTAMP(timezone=True))
    row: Select[Any] = select(
        asked.c.user_id,
        # Two letters of one statement need ids of their own, which only the database can make.
        func.uuidv7(),
        literal(kind.value),
        asked.c.address_id,
        cast(literal("{}"), JSONB),
        time,
        time,
        literal(0),
    ).select_from(asked)
    return insert(LETTERS).from_select(_COLUMNS, row)


_NOW = bindparam("now", type_=DateTime(timezone=True))
_due = (
    select(LETTERS.c.user_id, LETTERS.c.letter_id)
    .where(LETTERS.c.due_at <= _NOW, LETTERS.c.dead_at.is_(None))
    .order_by(LETTERS.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_wait_s = func.least(
    rules.FIRST_AGAIN.total_seconds() * func.power(4, LETTERS.c.attempts),
    rules.LONGEST_AGAIN.total_seconds(),
)
_again = func.make_interval(0, 0, 0, 0, 0, 0, _wait_s, type_=Interval)
# The try is counted before it is made, so that one which kills its process counts too. The
# next is due by itself: who dies under way holds nothing that somebody must take from him.
_CLAIM = Statement(
    update(LETTERS)
    .where(LETTERS.c.user_id == _due.c.user_id, LETTERS.c.letter_id == _due.c.letter_id)
    .values(
        attempts=LETTERS.c.attempts + 1,
        due_at=_NOW + _again,
    )
    .returning(
        LETTERS.c.user_id,
        LETTERS.c.letter_id,
        LETTERS.c.kind,
        LETTERS.c.address_id,
        LETTERS.c.details,
        LETTERS.c.attempts,
    )
)
_NEXT = Statement(select(func.min(LETTERS.c.due_at)).where(LETTERS.c.dead_at.is_(None)))
_ADDRESSEE = Statement(
    select(
        ADDRESSES.c.address_id,
        ADDRESSES.c.channel,
        ADDRESSES.c.address,
        # What he chose says more than what he registered with.
        func.coalesce(func.nullif(SETTINGS.c.language, ""), ACCOUNTS.c.language, ""),
    )
    .select_from(
        ADDRESSES.join(ACCOUNTS, ACCOUNTS.c.user_id == ADDRESSES.c.user_id).outerjoin(
            SETTINGS, SETTINGS.c.user_id == ADDRESSES.c.user_id
        )
    )
    .where(
        ADDRESSES.c.user_id == bindparam("of_user"),
        or_(
            ADDRESSES.c.address_id == bindparam("of_address", type_=UUID),
            and_(bindparam("of_address", type_=UUID).is_(None), ADDRESSES.c.is_primary),
        ),
    )
)
_this = and_(
    LETTERS.c.user_id == bindparam("of_user"), LETTERS.c.letter_id == bindparam("of_letter")
)
_DONE = Statement(delete(LETTERS).where(_this))
_DEAD = Statement(update(LETTERS).where(_this).values(dead_at=_NOW))
_PURGE = Statement(delete(LETTERS).where(LETTERS.c.dead_at < bindparam("before")))
_ASK = Statement(asking(select(literal(1).label("one")).cte("always")))


class LetterStore:
    """Rows of letters <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, letter: Letter, now: datetime) -> None:
        """Asks for a letter that tells of no change in these tables."""
        await self._database.run(_ASK, values(letter, now))

    async def claim(self, most: int, now: datetime) -> list[Waiting]:
        """Letters that are due, each to one process; a try of each is counted."""
        rows = await self._database.rows(_CLAIM, {"most": most, "now": now})
        return [
            Waiting(user, letter, Kind(kind), address, details, tries)
            for user, letter, kind, address, details, tries in rows
        ]

    async def next_due(self) -> datetime | None:
        """When the next letter is due; None where none waits."""
        row = await self._database.row(_NEXT, {})
        return row[0] if row else None

    async def addressee(self, letter: Waiting) -> Addressee | None:
        """Where a letter goes; None where there is no such address any more."""
        found = await self._database.row(
            _ADDRESSEE, {"of_user": letter.user_id, "of_address": letter.address_id}
        )
        return Addressee(*found) if found else None

    async def done(self, user_id: uuid.UUID, letter_id: uuid.UUID) -> None:
        """Forgets a letter that was sent, or has nowhere to go."""
        await self._database.run(_DONE, {"of_user": user_id, "of_letter": letter_id})

    async def give_up(self, user_id: uuid.UUID, letter_id: uuid.UUID, now: datetime) -> None:
        """Nobody tries any more; it is kept a while for whoever asks why."""
        await self._database.run(_DEAD, {"of_user": user_id, "of_letter": letter_id, "now": now})

    async def purge(self, before: datetime) -> None:
        """Forgets letters that were given up before then."""
        await self._database.run(_PURGE, {"before": before})
