"""Progress by day, in SQL."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from mesh.runtime.sql import Database, Session, Statement
from services.training.progress.rules import Amount, DayKey
from services.training.tables import PROGRESS_DAYS

_AMOUNTS: Final = ("activity_count", "elapsed_ms", "moving_ms", "distance_mm", "ascent_mm")

_added = insert(PROGRESS_DAYS).values(
    {column.name: bindparam(column.name) for column in PROGRESS_DAYS.columns}
)
_ADD = Statement(
    _added.on_conflict_do_update(
        index_elements=["user_id", "local_date", "sport"],
        set_={name: PROGRESS_DAYS.c[name] + _added.excluded[name] for name in _AMOUNTS},
    )
)
_DAYS = Statement(
    select(
        PROGRESS_DAYS.c.local_date,
        PROGRESS_DAYS.c.sport,
        *(PROGRESS_DAYS.c[name] for name in _AMOUNTS),
    ).where(
        PROGRESS_DAYS.c.user_id == bindparam("of_user"),
        PROGRESS_DAYS.c.local_date >= bindparam("first"),
        PROGRESS_DAYS.c.local_date <= bindparam("last"),
    )
)


async def add(session: Session, user_id: uuid.UUID, changes: Mapping[DayKey, Amount]) -> None:
    """Adds to a person's days, in the transaction that it is given."""
    # In one order, so that two events of a person cannot wait for each other.
    for key in sorted(changes):
        amount = changes[key]
        await session.run(
            _ADD,
            {
                "user_id": user_id,
                "local_date": key.day,
                "sport": key.sport,
                **{name: getattr(amount, name) for name in _AMOUNTS},
            },
        )


class ProgressStore:
    """Rows of progress <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def days(self, user_id: uuid.UUID, first: date, last: date) -> dict[DayKey, Amount]:
        """What a person's days add up to, from `first` to `last`."""
        values = {"of_user": user_id, "first": first, "last": last}
        rows = await self._database.rows(_DAYS, values)
        return {DayKey(row[0], row[1]): Amount(*row[2:]) for row in rows}
