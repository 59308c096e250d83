"""Revocations in SQL: written in the same statement as what revokes, read by the board."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import CTE, Select, bindparam, delete, func, literal, select
from sqlalchemy.dialects.postgresql import TEXT, Insert, insert

from mesh.runtime.revocations import Revocation
from mesh.runtime.sql import Database, Row, Statement
from services.identity.tables.revocations import REVOCATIONS

NOBODY = uuid.UUID(int=0)
GENERATION = "generation"
SESSION, KEY = "session/", "key/"
MOST_READ = 100_000
_COLUMNS = ("user_id", "subject", "generation", "created_at", "expires_at")
_rows = select(*(REVOCATIONS.c[name] for name in _COLUMNS))
_ALL = Statement(
    _rows.where(REVOCATIONS.c.expires_at > bindparam("now"))
    .order_by(REVOCATIONS.c.created_at.desc())
    .limit(MOST_READ)
)
_SINCE = Statement(
    _rows.where(REVOCATIONS.c.created_at > bindparam("since"))
    .order_by(REVOCATIONS.c.created_at)
    .limit(MOST_READ)
)
_over = (
    select(REVOCATIONS.c.user_id, REVOCATIONS.c.subject)
    .where(REVOCATIONS.c.expires_at < bindparam("now"))
    .limit(1000)
    .subquery()
)
_FORGET = Statement(
    delete(REVOCATIONS).where(
        REVOCATIONS.c.user_id == _over.c.user_id, REVOCATIONS.c.subject == _over.c.subject
    )
)


def sessions_of(ended: CTE) -> Insert:
    """An insert of a revocation for each session that `ended` answers with.

    `ended` has `user_id` and `session_id`; bind parameters: `now`, `until`.
    """
    return _revoking(
        select(
            ended.c.user_id,
            func.concat(SESSION, ended.c.session_id, type_=TEXT),
            literal(0),
            bindparam("now", type_=REVOCATIONS.c.created_at.type),
            bindparam("until", type_=REVOCATIONS.c.expires_at.type),
        )
    )


def generations_of(changed: CTE) -> Insert:
    """An insert, or a step forward, for each person that `changed` answers with.

    `changed` has `user_id` and `generation`; bind parameters: `now`, `until`.
    """
    return _revoking(
        select(
            changed.c.user_id,
            literal(GENERATION, type_=TEXT),
            changed.c.generation,
            bindparam("now", type_=REVOCATIONS.c.created_at.type),
            bindparam("until", type_=REVOCATIONS.c.expires_at.type),
        )
    )


def _revoking(rows: Select[Any]) -> Insert:
    change = insert(REVOCATIONS).from_select(list(_COLUMNS), rows)
    new = change.excluded
    return change.on_conflict_do_update(
        index_elements=["user_id", "subject"],
        set_={
            "generation": func.greatest(REVOCATIONS.c.generation, new.generation),
            "created_at": new.created_at,
            "expires_at": func.greatest(REVOCATIONS.c.expires_at, new.expires_at),
        },
    )


REVOKE_KEY = Statement(
    _revoking(
        select(
            literal(NOBODY, type_=REVOCATIONS.c.user_id.type),
            func.concat(KEY, bindparam("key_id", type_=TEXT), type_=TEXT),
            literal(0),
            bindparam("now", type_=REVOCATIONS.c.created_at.type),
            bindparam("until", type_=REVOCATIONS.c.expires_at.type),
        )
    )
)
"""Revokes a key, whatever it signed. Parameters: `key_id`, `now`, `until`."""


class RevocationStore:
    """Rows of revocations <-> what services know of them."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._channel = f"revocations_{schema}"

    async def all(self, now: datetime) -> list[Revocation]:
        """What still matters."""
        return [_revocation(row) for row in await self._database.rows(_ALL, {"now": now})]

    async def since(self, since: datetime) -> list[Revocation]:
        """What was revoked later than that."""
        return [_revocation(row) for row in await self._database.rows(_SINCE, {"since": since})]

    async def forget(self, now: datetime) -> int:
        """Deletes some of what matters no more; answers how many."""
        return await self._database.run(_FORGET, {"now": now})

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
        """A connection of its own that hears of every change."""
        async with await psycopg.AsyncConnection.connect(
            self._database.url, autocommit=True, application_name="revocations"
        ) as connection:
            await connection.execute(SQL("LISTEN {}").format(Identifier(self._channel)))
            yield connection


def _revocation(row: Row) -> Revocation:
    user_id, subject, generation, created_at, expires_at = row
    return Revocation(
        created_s=created_at.timestamp(),
        expires_s=expires_at.timestamp(),
        session=subject.removeprefix(SESSION) if subject.startswith(SESSION) else "",
        user=user_id if subject == GENERATION else None,
        first_generation=generation,
        key_id=subject.removeprefix(KEY) if subject.startswith(KEY) else "",
    )
