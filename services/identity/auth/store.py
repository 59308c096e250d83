"""Accounts in SQL."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, insert, literal, select, update
from sqlalchemy.dialects.postgresql import TEXT

from mesh.runtime import outbox
from mesh.runtime.sql import Conflict, Database, Session, Statement
from services.identity.addresses.rules import PHONE, Contact, State
from services.identity.addresses.store import holds
from services.identity.auth.rules import EmailTaken, PhoneTaken
from services.identity.codes import store as codes
from services.identity.codes.rules import Purpose
from services.identity.letters import store as letters
from services.identity.letters.rules import Kind, Letter
from services.identity.tables.auth import ACCOUNTS, ADDRESSES
from services.identity.tables.codes import CODES
from services.identity.tables.profiles import PROFILES

Also = Callable[[uuid.UUID, Session], Awaitable[None]]
"""Keeps more of a new person, in the transaction that makes his account."""


@dataclass(frozen=True, slots=True)
class Account:
    """What sign-in needs of an account."""

    user_id: uuid.UUID
    password_hash: str | None = field(repr=False)
    """None where there is no password."""


@dataclass(frozen=True, slots=True)
class Found:
    """An account by one of its addresses."""

    user_id: uuid.UUID
    password_hash: str | None = field(repr=False)
    address_id: uuid.UUID
    is_verified: bool
    """Whether the address is proved: a claim alone gives way to whoever proves it."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be made, with its profile."""

    user_id: uuid.UUID
    address_id: uuid.UUID
    contact: Contact
    password_hash: str = field(repr=False)
    display_name: str
    created_at: datetime
    language: str = ""
    country: str = ""


_account = (
    insert(ACCOUNTS)
    .values(
        user_id=bindparam("user_id"),
        password_hash=bindparam("password_hash"),
        password_at=bindparam("created_at"),
        language=bindparam("language"),
        country=bindparam("country"),
        created_at=bindparam("created_at"),
    )
    .returning(ACCOUNTS.c.user_id)
    .cte("account")
)
_address = (
    insert(ADDRESSES)
    .values(
        user_id=bindparam("user_id"),
        address_id=bindparam("address_id"),
        channel=bindparam("channel"),
        address=bindparam("address"),
        address_key=bindparam("address_key"),
        state=State.CLAIMED.value,
        is_primary=True,
        created_at=bindparam("created_at"),
    )
    .returning(ADDRESSES.c.user_id, ADDRESSES.c.address_id)
    .cte("address")
)
_profile = (
    insert(PROFILES)
    .values(
        user_id=bindparam("user_id"),
        display_name=bindparam("display_name"),
        bio="",
        version=1,
        created_at=bindparam("created_at"),
        updated_at=bindparam("created_at"),
    )
    .returning(PROFILES.c.version)
    .cte("profile")
)
_code = codes.asking(
    select(_address.c.user_id, _address.c.address_id), Purpose.VERIFY_ADDRESS, "created_at"
)
_letter = (
    letters.with_codes(_code, Kind.VERIFY_ADDRESS, "created_at")
    .returning(literal(1).label("one"))
    .cte("letter")
)
# Account, address, profile, letter and event: one statement, so that all of it happened or none.
_REGISTER = Statement(
    outbox.publishing(_profile, _profile.c.version).add_cte(_account, _address, _code, _letter)
)
_by_key = and_(ADDRESSES.c.address_key == bindparam("address_key"), holds)
_FIND = Statement(
    select(
        ACCOUNTS.c.user_id,
        ACCOUNTS.c.password_hash,
        ADDRESSES.c.address_id,
        ADDRESSES.c.state == State.VERIFIED.value,
    )
    .select_from(ADDRESSES.join(ACCOUNTS, ACCOUNTS.c.user_id == ADDRESSES.c.user_id))
    .where(_by_key)
)
_of_user = ACCOUNTS.c.user_id == bindparam("of_user")
_ACCOUNT = Statement(select(ACCOUNTS.c.user_id, ACCOUNTS.c.password_hash).where(_of_user))
_LOCK = Statement(select(literal(1)).select_from(ACCOUNTS).where(_of_user).with_for_update())


def _ask(purpose: Purpose, kind: Kind) -> Statement:
    asked = codes.asking(
        select(ADDRESSES.c.user_id, ADDRESSES.c.address_id).where(_by_key), purpose, "asked_now"
    )
    return Statement(letters.with_codes(asked, kind, "asked_now"))


_ASK = {
    Purpose.RESET_PASSWORD: _ask(Purpose.RESET_PASSWORD, Kind.RESET_PASSWORD),
    Purpose.UNLOCK_ACCOUNT: _ask(Purpose.UNLOCK_ACCOUNT, Kind.UNLOCK_ACCOUNT),
}
_used = codes.using()
_USE = Statement(select(_used.c.user_id))
_REHASH = Statement(
    update(ACCOUNTS)
    .where(_of_user, ACCOUNTS.c.password_hash == bindparam("seen"))
    .values(password_hash=bindparam("password_hash"))
)
_changed = (
    update(ACCOUNTS)
    .where(
        _of_user,
        ACCOUNTS.c.password_hash.is_not_distinct_from(bindparam("seen", type_=TEXT)),
    )
    .values(password_hash=bindparam("password_hash"), password_at=bindparam("now"))
    .returning(ACCOUNTS.c.user_id)
    .cte("changed")
)
_CHANGE = Statement(letters.asking(_changed))
_SET = Statement(
    update(ACCOUNTS)
    .where(_of_user)
    .values(password_hash=bindparam("password_hash"), password_at=bindparam("now"))
)
_LETTER = Statement(letters.asking(select(literal(1).label("one")).cte("always")))
_this_address = and_(
    ADDRESSES.c.user_id == bindparam("of_user"), ADDRESSES.c.address_id == bindparam("of_address")
)
_other_addresses = and_(
    ADDRESSES.c.user_id == bindparam("of_user"), ADDRESSES.c.address_id != bindparam("of_address")
)
# Whoever only claimed the address may have added others, by which he would come back.
_TAKE_OVER = (
    Statement(delete(ADDRESSES).where(_other_addresses)),
    Statement(
        update(ADDRESSES)
        .where(_this_address, ADDRESSES.c.state == State.CLAIMED.value)
        .values(state=State.VERIFIED.value, verified_at=bindparam("now"), is_primary=True)
    ),
    # What waits for an answer of his: a code that proves nothing any more.
    Statement(
        delete(CODES).where(
            CODES.c.user_id == bindparam("of_user"),
            CODES.c.purpose != Purpose.RESET_PASSWORD.value,
        )
    ),
)


class AuthStore:
    """Rows of accounts <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(
        self, account: NewAccount, event: outbox.Message, also: Also | None = None
    ) -> None:
        """Makes an account and its profile, asks for a code to its address, and tells of it.

        What `also` does becomes durable with it, or not at all.

        Raises:
            EmailTaken, PhoneTaken: the address has an account.
        """
        values = {
            "user_id": account.user_id,
            "address_id": account.address_id,
            "channel": account.contact.channel,
            "address": account.contact.address,
            "address_key": account.contact.key,
            "password_hash": account.password_hash,
            "display_name": account.display_name,
            "language": account.language or None,
            "country": account.country or None,
            "created_at": account.created_at,
            **outbox.values(event),
        }
        try:
            if also is None:
                await self._database.run(_REGISTER, values)
                return
            async with self._database.transaction() as session:
                await session.run(_REGISTER, values)
                await also(account.user_id, session)
        except Conflict as conflict:
            if conflict.constraint != "addresses_key":
                raise
            raise (PhoneTaken if account.contact.channel == PHONE else EmailTaken) from None

    async def found(self, address_key: str) -> Found | None:
        """The account that an address finds, if there is one."""
        row = await self._database.row(_FIND, {"address_key": address_key})
        return Found(*row) if row else None

    async def account(self, user_id: uuid.UUID) -> Account | None:
        """A person's account."""
        row = await self._database.row(_ACCOUNT, {"of_user": user_id})
        return Account(*row) if row else None

    async def ask_code(self, address_key: str, purpose: Purpose, now: datetime) -> None:
        """Asks for a letter with a code, where the address finds an account."""
        await self._database.run(_ASK[purpose], {"address_key": address_key, "asked_now": now})

    async def use(self, code: Mapping[str, Any]) -> bool:
        """Uses a code up; false where another call did."""
        return await self._database.row(_USE, code) is not None

    async def rehash(self, account: Account | Found, password_hash: str) -> None:
        """Keeps a better hash of the same password."""
        await self._database.run(
            _REHASH,
            {
                "of_user": account.user_id,
                "seen": account.password_hash,
                "password_hash": password_hash,
            },
        )

    async def change_password(self, account: Account, password_hash: str, now: datetime) -> bool:
        """Sets another password and tells the person; false where another call was faster."""
        letter = Letter(Kind.PASSWORD_CHANGED, account.user_id)
        values = {
            "of_user": account.user_id,
            "seen": account.password_hash,
            "password_hash": password_hash,
            "now": now,
            **letters.values(letter, now),
        }
        return await self._database.run(_CHANGE, values) == 1

    async def reset_password(
        self, found: Found, code: Mapping[str, Any], password_hash: str, now: datetime
    ) -> bool:
        """Sets another password by a code; false where the code was used up meanwhile.

        Where the address was only claimed it is verified now, and what the account had beside
        it is gone.
        """
        of = {"of_user": found.user_id, "of_address": found.address_id, "now": now}
        async with self._database.transaction() as session:
            await session.row(_LOCK, of)
            if await session.row(_USE, code) is None:
                return False
            await session.run(_SET, {**of, "password_hash": password_hash})
            if not found.is_verified:
                await _take_over(session, of)
            letter = Letter(Kind.PASSWORD_CHANGED, found.user_id)
            await session.run(_LETTER, letters.values(letter, now))
        return True


async def _take_over(session: Session, of: Mapping[str, Any]) -> None:
    for statement in _TAKE_OVER:
        await session.run(statement, of)
