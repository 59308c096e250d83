"""The keys that sign for people, in SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, LargeBinary, Text, bindparam, func, insert, literal, select

from mesh.runtime.sql import Database, Statement
from services.identity.tables.privacy import CERTIFICATE_KEYS

MOST_KEYS = 100
_KEYS = Statement(
    select(CERTIFICATE_KEYS.c.key_id, CERTIFICATE_KEYS.c.sealed)
    .order_by(CERTIFICATE_KEYS.c.created_at, CERTIFICATE_KEYS.c.key_id)
    .limit(MOST_KEYS)
)
# Two processes at their first receipt make one key: the second finds the first one's.
_LOCK = Statement(
    select(
        func.pg_advisory_xact_lock(
            func.hashtextextended(func.current_schema() + literal(" certificate key"), literal(0))
        )
    )
)
_ADD = Statement(
    insert(CERTIFICATE_KEYS).from_select(
        ["key_id", "sealed", "created_at"],
        select(
            bindparam("key_id", type_=Text()),
            bindparam("sealed", type_=LargeBinary()),
            bindparam("now", type_=DateTime(timezone=True)),
        ).where(~select(literal(1)).select_from(CERTIFICATE_KEYS).exists()),
    )
)


class CertificateKeyStore:
    """Rows of keys, sealed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keys(self) -> list[tuple[str, bytes]]:
        """Id and sealed content of each, the oldest, which signs, first."""
        rows = await self._database.rows(_KEYS, {})
        return [(key_id, bytes(sealed)) for key_id, sealed in rows]

    async def add_first(self, key_id: str, sealed: bytes, now: datetime) -> None:
        """Keeps a key where there is none."""
        async with self._database.transaction() as session:
            await session.row(_LOCK, {})
            await session.run(_ADD, {"key_id": key_id, "sealed": sealed, "now": now})
