"""Addresses in SQL. What must not happen twice at once holds the row of the account."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import UUID

from mesh.runtime.sql import Conflict, Database, Row, Session, Statement
from services.identity.addresses.rules import (
    MOST_ADDRESSES,
    Address,
    AddressNotFound,
    AddressTaken,
    Contact,
    State,
    TooManyAddresses,
    one_of,
)
from services.identity.codes import store as codes
from services.identity.codes.rules import Purpose
from services.identity.letters import store as letters
from services.identity.letters.rules import Kind, Letter
from services.identity.tables.auth import ACCOUNTS, ADDRESSES
from services.identity.tables.letters import LETTERS

_columns = (
    ADDRESSES.c.user_id,
    ADDRESSES.c.address_id,
    ADDRESSES.c.channel,
    ADDRESSES.c.address,
    ADDRESSES.c.state,
    ADDRESSES.c.is_primary,
    ADDRESSES.c.verified_at,
    ADDRESSES.c.created_at,
)
_of_user = ADDRESSES.c.user_id == bindparam("of_user")
_this = and_(_of_user, ADDRESSES.c.address_id == bindparam("of_address", type_=UUID))
_lives = ADDRESSES.c.state != State.REMOVED.value
holds = or_(ADDRESSES.c.state == State.CLAIMED.value, ADDRESSES.c.state == State.VERIFIED.value)
"""Of an address by which its account is found."""
_is_unproved = or_(
    ADDRESSES.c.state == State.CLAIMED.value, ADDRESSES.c.state == State.PENDING.value
)
_ALL = Statement(
    select(*_columns).where(_of_user, _lives).order_by(ADDRESSES.c.created_at).limit(32)
)
_LOCK = Statement(
    select(literal(1))
    .select_from(ACCOUNTS)
    .where(ACCOUNTS.c.user_id == bindparam("of_user"))
    .with_for_update()
)
_ADD = Statement(
    insert(ADDRESSES).values(
        user_id=bindparam("user_id"),
        address_id=bindparam("address_id"),
        channel=bindparam("channel"),
        address=bindparam("address"),
        address_key=bindparam("address_key"),
        state=State.PENDING.value,
        is_primary=False,
        created_at=bindparam("created_at"),
    )
)
_SAME = Statement(
    select(*_columns).where(_of_user, _lives, ADDRESSES.c.address_key == bindparam("address_key"))
)
_asked = codes.asking(
    select(ADDRESSES.c.user_id, ADDRESSES.c.address_id).where(_this, _is_unproved),
    Purpose.VERIFY_ADDRESS,
    "asked_now",
)
_ASK_CODE = Statement(letters.with_codes(_asked, Kind.VERIFY_ADDRESS, "asked_now"))
_LETTER = Statement(letters.asking(select(literal(1).label("one")).cte("always")))
# Another account's claim gives way to a proof: there the address is only wished for now.
_DISPLACE = Statement(
    update(ADDRESSES)
    .where(
        ADDRESSES.c.address_key == bindparam("address_key"),
        ADDRESSES.c.state == State.CLAIMED.value,
        ADDRESSES.c.user_id != bindparam("of_user"),
    )
    .values(state=State.PENDING.value)
)
_VERIFY = Statement(
    update(ADDRESSES)
    .where(_this, _is_unproved)
    .values(state=State.VERIFIED.value, verified_at=bindparam("now"))
)
# An unproved address is no way in any more where there is a proved one.
_DEMOTE = Statement(
    update(ADDRESSES)
    .where(_of_user, ADDRESSES.c.state == State.CLAIMED.value)
    .values(state=State.PENDING.value)
)
_used = codes.using()
_USE = Statement(select(_used.c.user_id))
_COUNT = Statement(select(func.count()).select_from(ADDRESSES).where(_of_user, _lives))
_THIS = Statement(
    select(ADDRESSES.c.address_key, ADDRESSES.c.state, ADDRESSES.c.is_primary).where(_this, _lives)
)
_UNPROVED_PRIMARY = Statement(
    update(ADDRESSES)
    .where(_of_user, ADDRESSES.c.is_primary, ADDRESSES.c.state != State.VERIFIED.value)
    .values(is_primary=False)
)
_NO_PRIMARY = Statement(
    update(ADDRESSES).where(_of_user, ADDRESSES.c.is_primary).values(is_primary=False)
)
_PRIMARY = Statement(update(ADDRESSES).where(_this, _lives).values(is_primary=True))
_REMOVE = Statement(
    update(ADDRESSES)
    .where(_this, _lives)
    .values(state=State.REMOVED.value, removed_at=bindparam("now"), is_primary=False)
)
_letter_waits = exists().where(
    LETTERS.c.user_id == ADDRESSES.c.user_id, LETTERS.c.address_id == ADDRESSES.c.address_id
)
_PURGE = Statement(
    delete(ADDRESSES).where(
        ADDRESSES.c.state == State.REMOVED.value,
        ADDRESSES.c.removed_at < bindparam("before"),
        ~_letter_waits,
    )
)


class AddressStore:
    """Rows of addresses <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, user_id: uuid.UUID) -> list[Address]:
        """A person's addresses, the oldest first."""
        return [_address(row) for row in await self._database.rows(_ALL, {"of_user": user_id})]

    async def add(
        self, user_id: uuid.UUID, address_id: uuid.UUID, contact: Contact, now: datetime
    ) -> Address:
        """Adds an address that is only wished for, and asks for a code; the same one once.

        Raises:
            TooManyAddresses
        """
        async with self._locked(user_id) as session:
            seen = {"of_user": user_id, "address_key": contact.key}
            row = await session.row(_SAME, seen)
            if row is None:
                count = await session.row(_COUNT, {"of_user": user_id})
                if count is None or count[0] >= MOST_ADDRESSES:
                    raise TooManyAddresses
                await session.run(_ADD, _new(user_id, address_id, contact, now))
                row = await session.row(_SAME, seen)
            if row is None:
                raise LookupError("an address that was added is not there")
            address = _address(row)
            await session.run(_ASK_CODE, _asking(user_id, address.address_id, now))
            return address

    async def ask_code(self, user_id: uuid.UUID, address_id: uuid.UUID, now: datetime) -> None:
        """Asks for a code to an address that is not verified; nothing where one went just now."""
        await self._database.run(_ASK_CODE, _asking(user_id, address_id, now))

    async def verify(
        self, address: Address, code: Mapping[str, Any], notice: Letter | None, now: datetime
    ) -> bool:
        """Makes an address a person's own; false where the code had its use already.

        `code` is as of `codes.store.values_of`. A claim of another account gives way.

        Raises:
            AddressTaken: another account has proved that it is its own.
        """
        of = {"of_user": address.user_id, "of_address": address.address_id, "now": now}
        try:
            async with self._locked(address.user_id) as session:
                if await session.row(_USE, code) is None:
                    return False
                row = await session.row(_THIS, of)
                if row is None:
                    return False
                await session.run(_DISPLACE, {"of_user": address.user_id, "address_key": row[0]})
                await session.run(_VERIFY, of)
                await session.run(_DEMOTE, of)
                await self._make_it_primary(session, of)
                if notice is not None:
                    await session.run(_LETTER, letters.values(notice, now))
        except Conflict as conflict:
            if conflict.constraint != "addresses_key":
                raise
            raise AddressTaken from None
        return True

    async def _make_it_primary(self, session: Session, of: Mapping[str, Any]) -> None:
        """Where the primary one is unproved, the proved one takes its place."""
        if await session.run(_UNPROVED_PRIMARY, of):
            await session.run(_PRIMARY, of)

    async def make_primary(self, address: Address, notice: Letter, now: datetime) -> None:
        """Makes a verified address the primary one, and tells the one that was."""
        of = {"of_user": address.user_id, "of_address": address.address_id}
        async with self._locked(address.user_id) as session:
            row = await session.row(_THIS, of)
            if row is None or row[1] != State.VERIFIED.value:
                raise AddressNotFound
            if row[2]:
                return
            await session.run(_NO_PRIMARY, of)
            await session.run(_PRIMARY, of)
            await session.run(_LETTER, letters.values(notice, now))

    async def remove(
        self,
        address: Address,
        check: Callable[[Sequence[Address], Address], None],
        notice: Letter | None,
        now: datetime,
    ) -> None:
        """Removes an address where `check` still allows it, and tells it so."""
        of = {"of_user": address.user_id, "of_address": address.address_id, "now": now}
        async with self._locked(address.user_id) as session:
            rows = await session.rows(_ALL, {"of_user": address.user_id})
            addresses = [_address(row) for row in rows]
            if all(each.address_id != address.address_id for each in addresses):
                return
            check(addresses, one_of(addresses, address.address_id))
            await session.run(_REMOVE, of)
            if notice is not None:
                await session.run(_LETTER, letters.values(notice, now))

    async def purge(self, before: datetime) -> None:
        """Forgets addresses that were removed before then, once their letters have left."""
        await self._database.run(_PURGE, {"before": before})

    @asynccontextmanager
    async def _locked(self, user_id: uuid.UUID) -> AsyncIterator[Session]:
        """One change to a person's addresses at a time."""
        async with self._database.transaction() as session:
            await session.row(_LOCK, {"of_user": user_id})
            yield session


def _asking(user_id: uuid.UUID, address_id: uuid.UUID, now: datetime) -> dict[str, object]:
    return {"of_user": user_id, "of_address": address_id, "asked_now": now}


def _new(
    user_id: uuid.UUID, address_id: uuid.UUID, contact: Contact, now: datetime
) -> dict[str, object]:
    return {
        "user_id": user_id,
        "address_id": address_id,
        "channel": contact.channel,
        "address": contact.address,
        "address_key": contact.key,
        "created_at": now,
    }


def _address(row: Row) -> Address:
    user, address, channel, text, state, primary, verified_at, created_at = row
    return Address(user, address, channel, text, State(state), primary, verified_at, created_at)
