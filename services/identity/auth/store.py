"""Accounts and sessions in SQL."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import BYTEA

from mesh.runtime import outbox
from mesh.runtime.sql import Conflict, Database, Statement
from services.identity.auth.rules import EmailTaken, Session
from services.identity.tables import ACCOUNTS, PROFILES, SESSIONS


@dataclass(frozen=True, slots=True)
class Account:
    """What sign-in needs of an account."""

    user_id: uuid.UUID
    password_hash: str


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be made, with its profile."""

    user_id: uuid.UUID
    email: str
    email_key: str
    password_hash: str
    display_name: str


_session_columns = (
    "user_id",
    "session_id",
    "chain_key",
    "token_hash",
    "rotated_at",
    "created_at",
    "expires_at",
)
_account = (
    insert(ACCOUNTS)
    .values(
        user_id=bindparam("user_id"),
        email=bindparam("email"),
        email_key=bindparam("email_key"),
        password_hash=bindparam("password_hash"),
        created_at=bindparam("created_at"),
    )
    .returning(ACCOUNTS.c.user_id)
    .cte("account")
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
_new_session = (
    insert(SESSIONS)
    .values({name: bindparam(name) for name in _session_columns})
    .returning(SESSIONS.c.session_id)
)
# Account, profile, session and event: one statement, so that all of it happened or none.
_REGISTER = Statement(
    outbox.publishing(_profile, _profile.c.version).add_cte(_account, _new_session.cte("session"))
)
_OPEN_SESSION = Statement(_new_session)
_ACCOUNT_BY_EMAIL = Statement(
    select(ACCOUNTS.c.user_id, ACCOUNTS.c.password_hash).where(
        ACCOUNTS.c.email_key == bindparam("email_key")
    )
)
_of_session = (SESSIONS.c.user_id == bindparam("of_user")) & (
    SESSIONS.c.session_id == bindparam("of_session")
)
_SESSION = Statement(
    select(
        SESSIONS.c.user_id,
        SESSIONS.c.session_id,
        SESSIONS.c.chain_key,
        SESSIONS.c.token_hash,
        SESSIONS.c.previous_hash,
        SESSIONS.c.rotated_at,
        SESSIONS.c.created_at,
        SESSIONS.c.expires_at,
        SESSIONS.c.ended_at.is_not(None),
    ).where(_of_session)
)
_ROTATE = Statement(
    update(SESSIONS)
    .where(
        _of_session,
        SESSIONS.c.token_hash == bindparam("shown", type_=BYTEA),
        SESSIONS.c.ended_at.is_(None),
    )
    .values(
        previous_hash=SESSIONS.c.token_hash,
        token_hash=bindparam("successor", type_=BYTEA),
        rotated_at=bindparam("now"),
    )
    .returning(literal(1))
)
_END = Statement(
    update(SESSIONS)
    .where(_of_session, SESSIONS.c.ended_at.is_(None))
    .values(ended_at=func.now(), ended_why=bindparam("why"))
)


class AuthStore:
    """Rows of accounts and sessions <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, account: NewAccount, session: Session, event: outbox.Message) -> None:
        """Makes an account, its profile, its first session, and tells of it.

        Raises:
            EmailTaken: the address has an account.
        """
        values = {
            "email": account.email,
            "email_key": account.email_key,
            "password_hash": account.password_hash,
            "display_name": account.display_name,
            **_session_values(session),
            **outbox.values(event),
        }
        try:
            await self._database.run(_REGISTER, values)
        except Conflict as conflict:
            if conflict.constraint != "accounts_email_key":
                raise
            raise EmailTaken from None

    async def account(self, email_key: str) -> Account | None:
        """The account with an address, if there is one."""
        row = await self._database.row(_ACCOUNT_BY_EMAIL, {"email_key": email_key})
        return Account(*row) if row else None

    async def open_session(self, session: Session) -> None:
        """Keeps a new session."""
        await self._database.run(_OPEN_SESSION, _session_values(session))

    async def session(self, user_id: uuid.UUID, session_id: uuid.UUID) -> Session | None:
        """A session, ended or not."""
        row = await self._database.row(_SESSION, {"of_user": user_id, "of_session": session_id})
        return Session(*row) if row else None

    async def rotate(self, session: Session, shown: bytes, successor: bytes, now: datetime) -> bool:
        """Moves a session to its next token; false where another call did it first."""
        values = {
            "of_user": session.user_id,
            "of_session": session.session_id,
            "shown": shown,
            "successor": successor,
            "now": now,
        }
        return await self._database.run(_ROTATE, values) == 1

    async def end(self, user_id: uuid.UUID, session_id: uuid.UUID, why: str) -> None:
        """Ends a session; nothing where it has ended already."""
        await self._database.run(_END, {"of_user": user_id, "of_session": session_id, "why": why})


def _session_values(session: Session) -> dict[str, object]:
    return {name: getattr(session, name) for name in _session_columns}
