"""People's keys in SQL, sealed."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import DateTime, LargeBinary, Uuid, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from mesh.runtime.sql import Database, Statement
from mesh.runtime.tables import ERASED_PEOPLE
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.privacy import PERSON_KEYS

_of_user = bindparam("of_user", type_=Uuid())
_erased = select(ERASED_PEOPLE.c.user_id).where(ERASED_PEOPLE.c.user_id == _of_user).exists()
_KEY = Statement(
    select(PERSON_KEYS.c.key_id, PERSON_KEYS.c.sealed).where(
        PERSON_KEYS.c.user_id == _of_user, ~_erased
    )
)
# Only of people who are there.
_ADD = Statement(
    insert(PERSON_KEYS)
    .from_select(
        ["user_id", "key_id", "sealed", "created_at"],
        select(
            ACCOUNTS.c.user_id,
            bindparam("key_id", type_=Uuid()),
            bindparam("sealed", type_=LargeBinary()),
            bindparam("now", type_=DateTime(timezone=True)),
        ).where(ACCOUNTS.c.user_id == _of_user, ~_erased),
    )
    .on_conflict_do_nothing()
)


class PersonKeyStore:
    """Rows of keys <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def key(self, user_id: uuid.UUID) -> tuple[uuid.UUID, bytes] | None:
        """The id and the sealed key; None where there is none, or the person was erased."""
        row = await self._database.row(_KEY, {"of_user": user_id})
        return (row[0], bytes(row[1])) if row else None

    async def add(
        self, user_id: uuid.UUID, key_id: uuid.UUID, sealed: bytes, now: datetime
    ) -> None:
        """Keeps a key, unless there is one, or no such person."""
        values = {"of_user": user_id, "key_id": key_id, "sealed": sealed, "now": now}
        await self._database.run(_ADD, values)
