"""Signing keys in SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, null, select, update

from mesh.runtime.sql import Database, Row, Statement
from services.identity.keys.rules import REMEMBERED, Change, SigningKey
from services.identity.revocations import store as revocations
from services.identity.tables.keys import SIGNING_KEYS

MOST = 500
_K = SIGNING_KEYS.c
_columns = (
    _K.key_id,
    func.coalesce(_K.sealed, b""),
    _K.public_key,
    _K.published_at,
    _K.signs_at,
    _K.always_sealed,
    _K.withdrawn_at,
    _K.withdrawn_by,
    _K.withdrawn_why,
)
_of_key = _K.key_id == bindparam("of_key")
_ALL = Statement(
    select(*_columns, _K.private_key).order_by(_K.withdrawn_at.desc(), _K.signs_at).limit(MOST)
)
_ADDED = ("key_id", "sealed", "public_key", "published_at", "signs_at", "always_sealed")
_ADD = Statement(
    insert(SIGNING_KEYS).values(
        {name: bindparam(name) for name in _ADDED} | {"withdrawn_by": "", "withdrawn_why": ""}
    )
)
_MOVE = Statement(update(SIGNING_KEYS).where(_of_key).values(signs_at=bindparam("at")))
_WITHDRAW = Statement(
    update(SIGNING_KEYS)
    .where(_of_key, _K.withdrawn_at.is_(None))
    .values(
        private_key=null(),
        sealed=null(),
        withdrawn_at=bindparam("now"),
        withdrawn_by=bindparam("by"),
        withdrawn_why=bindparam("why"),
    )
)
_FORGET = Statement(delete(SIGNING_KEYS).where(_of_key))
_SEAL = Statement(
    update(SIGNING_KEYS)
    .where(_of_key, _K.private_key.is_not(None))
    .values(sealed=bindparam("anew"), private_key=null())
)
_RESEAL = Statement(
    update(SIGNING_KEYS)
    .where(_of_key, _K.sealed == bindparam("before"))
    .values(sealed=bindparam("anew"))
)
# One at a time decides what becomes of the keys, in whatever process.
_ALONE = Statement(
    select(
        func.pg_advisory_xact_lock(
            func.hashtextextended(func.concat(func.current_schema(), ".signing_keys"), 0)
        )
    )
)
Seal = Callable[[str, bytes], bytes]
"""Seals the private key of a key id."""
Decide = Callable[[list[SigningKey]], Change]


class KeyStore:
    """Rows of signing keys <-> the domain."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def keys(self) -> list[SigningKey]:
        """All keys, withdrawn ones too; what lay open in a row does so no more."""
        found, opened = self._decoded(await self._database.rows(_ALL, {}))
        for key in opened:
            # Whoever comes second finds none that is open, and leaves it: both seals open.
            await self._database.run(_SEAL, _sealed(key))
        return found

    def _decoded(self, rows: list[Row]) -> tuple[list[SigningKey], list[SigningKey]]:
        """All keys, and those of them that lie open."""
        found, opened = [], []
        for *row, plain in rows:
            key = SigningKey(*row)
            if plain is not None:
                key = replace(key, secret=self._seal(key.key_id, plain))
                opened.append(key)
            found.append(key)
        return found, opened

    async def reseal(self, key: SigningKey, secret: bytes) -> None:
        """Keeps the private key sealed by a newer key, unless it changed meanwhile."""
        values = {"of_key": key.key_id, "before": key.secret, "anew": secret}
        await self._database.run(_RESEAL, values)

    async def change(self, decide: Decide, now: datetime, by: str = "", why: str = "") -> Change:
        """Does what `decide` makes of the keys, all or nothing, and one such at a time."""
        async with self._database.transaction() as session:
            await session.row(_ALONE, {})
            keys, opened = self._decoded(await session.rows(_ALL, {}))
            for key in opened:
                await session.run(_SEAL, _sealed(key))
            change = decide(keys)
            for key in change.added:
                await session.run(_ADD, _added(key))
            for key_id, at in change.moved:
                await session.run(_MOVE, {"of_key": key_id, "at": at})
            told: dict[str, Any] = {"now": now, "by": by, "why": why}
            for key_id in change.withdrawn:
                await session.run(_WITHDRAW, told | {"of_key": key_id})
                revoked = {"key_id": key_id, "now": now, "until": now + REMEMBERED}
                await session.run(revocations.REVOKE_KEY, revoked)
            for key_id in change.forgotten:
                await session.run(_FORGET, {"of_key": key_id})
        return change


def _sealed(key: SigningKey) -> dict[str, Any]:
    return {"of_key": key.key_id, "anew": key.secret}


def _added(key: SigningKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "sealed": key.secret,
        "public_key": key.public_key,
        "published_at": key.published_at,
        "signs_at": key.signs_at,
        "always_sealed": key.always_sealed,
    }
