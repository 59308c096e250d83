"""Links to the shop, attempts and logouts in SQL."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Uuid,
    and_,
    bindparam,
    delete,
    func,
    insert,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import BYTEA, TEXT

from mesh.runtime import outbox
from mesh.runtime.sql import Conflict, Database, Statement
from services.identity.sso.rules import (
    LOGOUT_REMEMBERED,
    Arrival,
    Attempt,
    Link,
    LoggedOut,
    digest,
)
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.profiles import PROFILES
from services.identity.tables.sessions import SESSIONS
from services.identity.tables.sso import SSO_ATTEMPTS, SSO_LINKS, SSO_LOGOUTS, SSO_SESSIONS

AT_ONCE = 500
ON_ITS_WAY = timedelta(hours=1)
"""Longer than any session takes to open."""
_time = DateTime(timezone=True)
_user: ColumnElement[uuid.UUID] = bindparam("of_user", type_=Uuid())
_now: ColumnElement[datetime] = bindparam("now", type_=_time)
_BEGIN = Statement(
    insert(SSO_ATTEMPTS).values({name: bindparam(name) for name in SSO_ATTEMPTS.c.keys()})  # noqa: SIM118
)
# Of several who end one sign-in, one does.
_TAKE = Statement(
    delete(SSO_ATTEMPTS)
    .where(
        SSO_ATTEMPTS.c.state_hash == bindparam("state", type_=BYTEA),
        SSO_ATTEMPTS.c.binding_hash == bindparam("binding", type_=BYTEA),
        SSO_ATTEMPTS.c.expires_at > _now,
    )
    .returning(SSO_ATTEMPTS.c.secrets, SSO_ATTEMPTS.c.redirect_uri)
)
_link_columns = (
    SSO_LINKS.c.user_id,
    SSO_LINKS.c.issuer,
    SSO_LINKS.c.subject,
    SSO_LINKS.c.tokens,
)
_BY_SUBJECT = Statement(
    select(*_link_columns).where(
        SSO_LINKS.c.issuer == bindparam("issuer"), SSO_LINKS.c.subject == bindparam("subject")
    )
)
_BY_USER = Statement(select(*_link_columns).where(SSO_LINKS.c.user_id == _user))
_account = (
    insert(ACCOUNTS)
    .values(user_id=bindparam("user_id"), created_at=bindparam("created_at"))
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
_link = insert(SSO_LINKS).values(
    user_id=bindparam("user_id"),
    issuer=bindparam("issuer"),
    subject=bindparam("subject"),
    created_at=bindparam("created_at"),
)
# Account, profile, link and event: all of it happened or none, and once for a subject.
_REGISTER = Statement(
    outbox.publishing(_profile, _profile.c.version).add_cte(
        _account, _link.returning(SSO_LINKS.c.user_id).cte("link")
    )
)
_ADD_LINK = Statement(_link)
_DROP_LINK = Statement(delete(SSO_LINKS).where(SSO_LINKS.c.user_id == _user))
_HAS_PASSWORD = Statement(
    select(ACCOUNTS.c.password_hash.is_not(None)).where(ACCOUNTS.c.user_id == _user)
)
_KEEP_TOKENS = Statement(
    update(SSO_LINKS)
    .where(SSO_LINKS.c.user_id == _user)
    .values(tokens=bindparam("tokens", type_=BYTEA), renewing_until=null())
)
_CLAIM = Statement(
    update(SSO_LINKS)
    .where(
        SSO_LINKS.c.user_id == _user,
        or_(SSO_LINKS.c.renewing_until.is_(None), SSO_LINKS.c.renewing_until < _now),
    )
    .values(renewing_until=bindparam("until", type_=_time))
)
_ADD_SESSION = Statement(
    insert(SSO_SESSIONS).values({name: bindparam(name) for name in SSO_SESSIONS.c.keys()})  # noqa: SIM118
)
_ONCE = Statement(
    postgresql.insert(SSO_LOGOUTS)
    .values(
        jti_hash=bindparam("jti", type_=BYTEA),
        subject_hash=bindparam("subject_hash", type_=BYTEA),
        sid_hash=bindparam("sid_hash", type_=BYTEA),
        came_at=_now,
        expires_at=bindparam("expires_at", type_=_time),
    )
    .on_conflict_do_update(
        index_elements=[SSO_LOGOUTS.c.jti_hash], set_={"came_at": SSO_LOGOUTS.c.came_at}
    )
    .returning(SSO_LOGOUTS.c.came_at)
)
# Whom a logout names by both, it means only by both; an empty hash is said of nobody.
_LOGGED_OUT = Statement(
    select(SSO_LOGOUTS.c.jti_hash)
    .where(
        SSO_LOGOUTS.c.came_at >= bindparam("at", type_=_time),
        SSO_LOGOUTS.c.subject_hash.in_([bindparam("subject_hash", type_=BYTEA), b""]),
        SSO_LOGOUTS.c.sid_hash.in_([bindparam("sid_hash", type_=BYTEA), b""]),
    )
    .limit(1)
)
_OF_LOGOUT = Statement(
    select(SSO_SESSIONS.c.user_id, SSO_SESSIONS.c.session_id)
    .join(SSO_LINKS, SSO_LINKS.c.user_id == SSO_SESSIONS.c.user_id)
    .join(
        SESSIONS,
        (SESSIONS.c.user_id == SSO_SESSIONS.c.user_id)
        & (SESSIONS.c.session_id == SSO_SESSIONS.c.session_id),
    )
    .where(
        SSO_LINKS.c.issuer == bindparam("issuer"),
        SESSIONS.c.ended_at.is_(None),
        SSO_SESSIONS.c.created_at <= bindparam("before", type_=_time),
        or_(bindparam("sid", type_=TEXT) == "", SSO_SESSIONS.c.sid == bindparam("sid")),
        or_(bindparam("subject", type_=TEXT) == "", SSO_LINKS.c.subject == bindparam("subject")),
    )
    .limit(AT_ONCE)
)
_FORGET_ATTEMPTS = Statement(
    delete(SSO_ATTEMPTS).where(
        SSO_ATTEMPTS.c.state_hash.in_(
            select(SSO_ATTEMPTS.c.state_hash).where(SSO_ATTEMPTS.c.expires_at < _now).limit(AT_ONCE)
        )
    )
)
_FORGET_LOGOUTS = Statement(
    delete(SSO_LOGOUTS).where(
        SSO_LOGOUTS.c.jti_hash.in_(
            select(SSO_LOGOUTS.c.jti_hash).where(SSO_LOGOUTS.c.expires_at < _now).limit(AT_ONCE)
        )
    )
)
# Of sessions that have ended nobody will be told. One that is not there may be on its way.
_FORGET_SESSIONS = Statement(
    delete(SSO_SESSIONS).where(
        tuple_(SSO_SESSIONS.c.user_id, SSO_SESSIONS.c.session_id).in_(
            select(SSO_SESSIONS.c.user_id, SSO_SESSIONS.c.session_id)
            .join(
                SESSIONS,
                (SESSIONS.c.user_id == SSO_SESSIONS.c.user_id)
                & (SESSIONS.c.session_id == SSO_SESSIONS.c.session_id),
                isouter=True,
            )
            .where(
                or_(
                    func.coalesce(SESSIONS.c.ended_at, SESSIONS.c.expires_at) <= _now,
                    and_(
                        SESSIONS.c.session_id.is_(None),
                        SSO_SESSIONS.c.created_at < bindparam("long_ago", type_=_time),
                    ),
                )
            )
            .limit(AT_ONCE)
        )
    )
)


class SsoStore:
    """Rows of the shop's people <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, attempt: Attempt, sealed: bytes, redirect_uri: str, expires_at: datetime
    ) -> None:
        """Keeps a sign-in that was begun."""
        values = {
            "state_hash": digest(attempt.state),
            "binding_hash": digest(attempt.binding),
            "secrets": sealed,
            "redirect_uri": redirect_uri,
            "expires_at": expires_at,
        }
        await self._database.run(_BEGIN, values)

    async def take(self, state: str, binding: str, now: datetime) -> tuple[bytes, str] | None:
        """Its sealed secrets and address, once; None where it is over or somebody else's."""
        values = {"state": digest(state), "binding": digest(binding), "now": now}
        row = await self._database.row(_TAKE, values)
        return (row[0], row[1]) if row else None

    async def by_subject(self, issuer: str, subject: str) -> Link | None:
        """The link of somebody in the shop."""
        row = await self._database.row(_BY_SUBJECT, {"issuer": issuer, "subject": subject})
        return Link(*row) if row else None

    async def by_user(self, user_id: uuid.UUID) -> Link | None:
        """The link of an account."""
        row = await self._database.row(_BY_USER, {"of_user": user_id})
        return Link(*row) if row else None

    async def register(
        self, link: Link, display_name: str, event: outbox.Message, now: datetime
    ) -> bool:
        """Makes an account for somebody of the shop; false where he has one meanwhile."""
        values = {
            "user_id": link.user_id,
            "issuer": link.issuer,
            "subject": link.subject,
            "display_name": display_name,
            "created_at": now,
            **outbox.values(event),
        }
        try:
            await self._database.run(_REGISTER, values)
        except Conflict as conflict:
            if conflict.constraint != "sso_links_subject":
                raise
            return False
        return True

    async def link(self, link: Link, now: datetime) -> bool:
        """Links an account; false where it or the subject is linked already."""
        values = {
            "user_id": link.user_id,
            "issuer": link.issuer,
            "subject": link.subject,
            "created_at": now,
        }
        try:
            await self._database.run(_ADD_LINK, values)
        except Conflict:
            return False
        return True

    async def unlink(self, user_id: uuid.UUID) -> None:
        """Takes a link away; nothing where there is none."""
        await self._database.run(_DROP_LINK, {"of_user": user_id})

    async def has_password(self, user_id: uuid.UUID) -> bool:
        """Whether an account can be signed in to without the shop."""
        row = await self._database.row(_HAS_PASSWORD, {"of_user": user_id})
        return bool(row and row[0])

    async def keep_tokens(self, user_id: uuid.UUID, sealed: bytes | None) -> None:
        """Keeps the shop's tokens, and lets others renew them."""
        await self._database.run(_KEEP_TOKENS, {"of_user": user_id, "tokens": sealed})

    async def claim(self, user_id: uuid.UUID, now: datetime, until: datetime) -> bool:
        """Whether the caller may renew the tokens, alone until then."""
        values = {"of_user": user_id, "now": now, "until": until}
        return await self._database.run(_CLAIM, values) == 1

    async def add_session(
        self, user_id: uuid.UUID, session_id: uuid.UUID, arrival: Arrival
    ) -> None:
        """Remembers which session of the shop one of ours comes from."""
        values = {
            "user_id": user_id,
            "session_id": session_id,
            "sid": arrival.sid,
            "created_at": arrival.at,
        }
        await self._database.run(_ADD_SESSION, values)

    async def logged_out(self, arrival: Arrival) -> bool:
        """Whether the shop has said since that who came from there is signed out."""
        values = {
            "at": arrival.at,
            "subject_hash": _hash(arrival.issuer, arrival.subject),
            "sid_hash": _hash(arrival.issuer, arrival.sid),
        }
        return await self._database.row(_LOGGED_OUT, values) is not None

    async def logout_came(self, issuer: str, told: LoggedOut, now: datetime) -> datetime:
        """When a logout token came first: now, or before."""
        values = {
            "jti": told.jti_hash,
            "subject_hash": _hash(issuer, told.subject),
            "sid_hash": _hash(issuer, told.sid),
            "expires_at": max(told.expires_at, now + LOGOUT_REMEMBERED),
            "now": now,
        }
        row = await self._database.row(_ONCE, values)
        return row[0] if row else now

    async def of_logout(
        self, issuer: str, told: LoggedOut, before: datetime
    ) -> list[tuple[uuid.UUID, uuid.UUID]]:
        """Live sessions that a logout is about, some at a time, by user and id."""
        values = {"issuer": issuer, "sid": told.sid, "subject": told.subject, "before": before}
        return [(row[0], row[1]) for row in await self._database.rows(_OF_LOGOUT, values)]

    async def forget(self, now: datetime) -> None:
        """Drops some of what is over."""
        for statement in (_FORGET_ATTEMPTS, _FORGET_LOGOUTS):
            await self._database.run(statement, {"now": now})
        await self._database.run(_FORGET_SESSIONS, {"now": now, "long_ago": now - ON_ITS_WAY})


def _hash(issuer: str, name: str) -> bytes:
    """What is kept of whom a logout names: nothing that says who it is; empty of nobody."""
    return digest(f"{issuer}\n{name}") if name else b""
