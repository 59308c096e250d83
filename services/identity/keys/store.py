"""Signing keys in SQL."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import bindparam, delete, insert, literal, select

from mesh.runtime.sql import Database, Statement
from services.identity.keys.rules import SigningKey
from services.identity.tables import SIGNING_KEYS

_columns = (
    SIGNING_KEYS.c.key_id,
    SIGNING_KEYS.c.private_key,
    SIGNING_KEYS.c.public_key,
    SIGNING_KEYS.c.published_at,
)
_ALL = Statement(select(*_columns).order_by(SIGNING_KEYS.c.published_at.desc()).limit(20))
_newer = select(literal(1)).where(SIGNING_KEYS.c.published_at > bindparam("not_after"))
# Only where no key is newer: of several workers that find a key due, one adds it.
_ADD = Statement(
    insert(SIGNING_KEYS).from_select(
        [column.name for column in _columns],
        select(*(bindparam(column.name, type_=column.type) for column in _columns)).where(
            ~_newer.exists()
        ),
    )
)
_FORGET = Statement(delete(SIGNING_KEYS).where(SIGNING_KEYS.c.published_at < bindparam("oldest")))


class KeyStore:
    """Rows of signing keys <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keys(self) -> list[SigningKey]:
        """The newest keys, newest first."""
        return [SigningKey(*row) for row in await self._database.rows(_ALL, {})]

    async def add(self, key: SigningKey, at_least_apart: timedelta) -> None:
        """Publishes a key, unless another was published within `at_least_apart` before it."""
        await self._database.run(
            _ADD,
            {
                "key_id": key.key_id,
                "private_key": key.private_key,
                "public_key": key.public_key,
                "published_at": key.published_at,
                "not_after": key.published_at - at_least_apart,
            },
        )

    async def forget(self, key: SigningKey) -> None:
        """Deletes the keys published before `key`."""
        await self._database.run(_FORGET, {"oldest": key.published_at})
