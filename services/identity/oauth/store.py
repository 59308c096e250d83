"""Grants, codes and browsers in SQL."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, TEXT

from mesh.runtime.sql import Database, Statement, Undo
from services.identity.clients.store import blocked_owner
from services.identity.oauth.rules.codes import (
    MOST_BROWSERS,
    MOST_CODES,
    MOST_GRANTS,
    Browser,
    Code,
    Grant,
)
from services.identity.tables.clients import CLIENTS
from services.identity.tables.oauth import BROWSERS, CODES, GRANTS
from services.identity.tables.profiles import PROFILES
from services.identity.tables.sessions import SESSIONS

FORGET_AT_ONCE = 1000
_time = DateTime(timezone=True)
_user: ColumnElement[uuid.UUID] = bindparam("of_user", type_=Uuid())
_client: ColumnElement[uuid.UUID] = bindparam("of_client", type_=Uuid())
_now: ColumnElement[datetime] = bindparam("now", type_=_time)
_IN_A_ROW = Statement(
    select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("key"), literal(0x6A27))))
)
_grant = (GRANTS.c.user_id == _user) & (GRANTS.c.client_id == _client)
_stands = GRANTS.c.ended_at.is_(None)
_grants = (
    select(func.count())
    .select_from(GRANTS)
    .where(GRANTS.c.user_id == _user, _stands)
    .scalar_subquery()
)
_wanted: ColumnElement[Any] = bindparam("scopes", type_=ARRAY(TEXT))
# What was granted before stays granted. Of the row that is changed, by its name alone: as a
# column it would bring all rows of the table, everybody's, into the query.
_its_scopes: ColumnElement[Any] = literal_column("grants.scopes", ARRAY(TEXT))
_all = func.unnest(_its_scopes.op("||")(_wanted)).label("scope")
_together = func.array(
    select(_all).distinct().order_by("scope").scalar_subquery(), type_=ARRAY(TEXT)
)
_ADD_GRANT = Statement(
    postgresql.insert(GRANTS)
    .from_select(
        ["user_id", "client_id", "scopes", "created_at", "updated_at"],
        select(_user, _client, _wanted, _now, _now).where(
            (_grants < MOST_GRANTS) | select(literal(1)).where(_grant).exists()
        ),
    )
    .on_conflict_do_update(
        index_elements=[GRANTS.c.user_id, GRANTS.c.client_id],
        set_={"scopes": _together, "updated_at": _now},
    )
)
_GRANTED = Statement(select(GRANTS.c.scopes).where(_grant, _stands))
# An app that ends is out of use before its grants say so.
_ended = func.coalesce(GRANTS.c.ended_at, CLIENTS.c.ended_at)
_LIST = Statement(
    select(
        GRANTS.c.client_id,
        func.coalesce(CLIENTS.c.display_name, GRANTS.c.app_name),
        func.coalesce(CLIENTS.c.about, ""),
        GRANTS.c.scopes,
        GRANTS.c.created_at,
        GRANTS.c.updated_at,
        _ended,
        blocked_owner,
    )
    .join(CLIENTS, CLIENTS.c.client_id == GRANTS.c.client_id, isouter=True)
    .where(GRANTS.c.user_id == _user)
    .order_by(_ended.is_not(None), GRANTS.c.created_at, GRANTS.c.client_id)
    .limit(MOST_GRANTS)
)
_DROP_GRANT = Statement(delete(GRANTS).where(_grant))
_END_GRANTS = Statement(
    update(GRANTS)
    .where(
        tuple_(GRANTS.c.user_id, GRANTS.c.client_id).in_(
            select(GRANTS.c.user_id, GRANTS.c.client_id)
            .where(GRANTS.c.client_id == _client, _stands)
            .limit(FORGET_AT_ONCE)
        )
    )
    .values(ended_at=_now, app_name=bindparam("app_name"))
)
_FORGET_GRANTS = Statement(
    delete(GRANTS).where(
        tuple_(GRANTS.c.user_id, GRANTS.c.client_id).in_(
            select(GRANTS.c.user_id, GRANTS.c.client_id)
            .where(GRANTS.c.ended_at < bindparam("before", type_=_time))
            .limit(FORGET_AT_ONCE)
        )
    )
)

_code_columns = (
    "user_id",
    "code_id",
    "secret_hash",
    "client_id",
    "redirect_uri",
    "scopes",
    "challenge",
    "amr",
    "proved_at",
    "created_at",
    "nonce",
)
_codes = select(func.count()).select_from(CODES).where(CODES.c.user_id == _user).scalar_subquery()
_ADD_CODE = Statement(
    insert(CODES).from_select(
        list(_code_columns),
        select(*(bindparam(name, type_=CODES.c[name].type) for name in _code_columns)).where(
            _codes < MOST_CODES
        ),
    )
)
# Those that lived their minute and were never used make room.
_MAKE_ROOM = Statement(
    delete(CODES).where(
        CODES.c.user_id == _user,
        (CODES.c.created_at < bindparam("old", type_=_time))
        | (CODES.c.used_at.is_(None) & (CODES.c.created_at < bindparam("stale", type_=_time))),
    )
)
_code = (CODES.c.user_id == _user) & (CODES.c.code_id == bindparam("of_code", type_=Uuid()))
_CODE = Statement(
    select(*(CODES.c[name] for name in _code_columns), CODES.c.used_at.is_not(None)).where(_code)
)
_USE = Statement(update(CODES).where(_code, CODES.c.used_at.is_(None)).values(used_at=_now))
# What a code gave stands only where nobody showed it again, and the grant and the app, as it
# was, are still there.
_alive = (
    select(literal(1))
    .where(
        CLIENTS.c.client_id == CODES.c.client_id,
        CLIENTS.c.ended_at.is_(None),
        CLIENTS.c.scopes.contains(CODES.c.scopes),
        GRANTS.c.user_id == CODES.c.user_id,
        GRANTS.c.client_id == CODES.c.client_id,
        _stands,
    )
    .exists()
)
_GAVE = Statement(
    update(CODES)
    .where(_code)
    .values(session_id=bindparam("session", type_=Uuid()))
    .returning(CODES.c.replayed_at.is_(None) & _alive)
)
_REPLAYED = Statement(
    update(CODES)
    .where(_code)
    .values(replayed_at=func.coalesce(CODES.c.replayed_at, _now))
    .returning(CODES.c.session_id)
)
_FORGET_CODES = Statement(
    delete(CODES).where(
        tuple_(CODES.c.user_id, CODES.c.code_id).in_(
            select(CODES.c.user_id, CODES.c.code_id)
            .where(CODES.c.created_at < bindparam("before", type_=_time))
            .limit(FORGET_AT_ONCE)
        )
    )
)

_ADD_BROWSER = Statement(
    insert(BROWSERS).values({name: bindparam(name) for name in BROWSERS.c.keys()})  # noqa: SIM118
)
# The newest stay.
_FEWER = Statement(
    delete(BROWSERS).where(
        BROWSERS.c.user_id == _user,
        BROWSERS.c.session_id.in_(
            select(BROWSERS.c.session_id)
            .where(BROWSERS.c.user_id == _user)
            .order_by(BROWSERS.c.created_at.desc(), BROWSERS.c.session_id)
            .offset(MOST_BROWSERS)
        ),
    )
)
_browser = (BROWSERS.c.user_id == _user) & (
    BROWSERS.c.session_id == bindparam("of_session", type_=Uuid())
)
_BROWSER = Statement(
    select(
        BROWSERS.c.user_id,
        BROWSERS.c.session_id,
        BROWSERS.c.secret_hash,
        SESSIONS.c.amr,
        SESSIONS.c.proved_at,
        BROWSERS.c.expires_at,
        PROFILES.c.display_name,
    )
    .join(
        SESSIONS,
        (SESSIONS.c.user_id == BROWSERS.c.user_id)
        & (SESSIONS.c.session_id == BROWSERS.c.session_id)
        & SESSIONS.c.ended_at.is_(None),
    )
    .join(PROFILES, PROFILES.c.user_id == BROWSERS.c.user_id)
    .where(_browser)
)
_DROP_BROWSER = Statement(delete(BROWSERS).where(_browser))
_FORGET_BROWSERS = Statement(
    delete(BROWSERS).where(
        tuple_(BROWSERS.c.user_id, BROWSERS.c.session_id).in_(
            select(BROWSERS.c.user_id, BROWSERS.c.session_id)
            .where(BROWSERS.c.expires_at < bindparam("before", type_=_time))
            .limit(FORGET_AT_ONCE)
        )
    )
)


class OAuthStore:
    """Rows of grants, codes and browsers <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def agree(self, code: Code, old: datetime, stale: datetime) -> bool:
        """Keeps a yes and its code; false where the person has as many of either as may be."""
        values = {name: getattr(code, name) for name in _code_columns} | {
            "of_user": code.user_id,
            "of_client": code.client_id,
            "scopes": list(code.scopes),
            "amr": list(code.amr),
            "now": code.created_at,
            "old": old,
            "stale": stale,
        }
        kept = False
        async with self._database.transaction() as session:
            # One yes of a person after the other, so that the counts hold.
            await session.row(_IN_A_ROW, {"key": str(code.user_id)})
            await session.run(_MAKE_ROOM, _of(values, "of_user", "old", "stale"))
            about = _of(values, "of_user", "of_client", "scopes", "now")
            if await session.run(_ADD_GRANT, about):
                named = _of(values, "of_user", *_code_columns)
                kept = await session.run(_ADD_CODE, named) == 1
            if not kept:
                raise Undo
        return kept

    async def granted(self, user_id: uuid.UUID, client_id: uuid.UUID) -> frozenset[str]:
        """What a person lets an app do."""
        row = await self._database.row(_GRANTED, {"of_user": user_id, "of_client": client_id})
        return frozenset(row[0]) if row else frozenset()

    async def grants(self, user_id: uuid.UUID, now: datetime) -> list[Grant]:
        """All grants of a person, the oldest first, those of apps that are gone last."""
        rows = await self._database.rows(_LIST, {"of_user": user_id, "now": now})
        return [
            Grant(user_id, client_id, name, about, tuple(scopes), *rest)
            for client_id, name, about, scopes, *rest in rows
        ]

    async def drop_grant(self, user_id: uuid.UUID, client_id: uuid.UUID) -> None:
        """Takes a grant away; nothing where there is none."""
        await self._database.run(_DROP_GRANT, {"of_user": user_id, "of_client": client_id})

    async def end_grants(self, client_id: uuid.UUID, app_name: str, now: datetime) -> int:
        """Ends some of the grants of an app that is gone; answers how many."""
        values = {"of_client": client_id, "app_name": app_name, "now": now}
        return await self._database.run(_END_GRANTS, values)

    async def forget_grants(self, before: datetime) -> int:
        """Drops some grants that ended before; answers how many."""
        return await self._database.run(_FORGET_GRANTS, {"before": before})

    async def code(self, user_id: uuid.UUID, code_id: uuid.UUID) -> Code | None:
        """A code, used or not."""
        row = await self._database.row(_CODE, {"of_user": user_id, "of_code": code_id})
        if row is None:
            return None
        told = dict(zip((*_code_columns, "used"), row, strict=True))
        return Code(**told | {"scopes": tuple(told["scopes"]), "amr": tuple(told["amr"])})

    async def use(self, code: Code, now: datetime) -> bool:
        """Takes a code; false where somebody did before."""
        values = {"of_user": code.user_id, "of_code": code.code_id, "now": now}
        return await self._database.run(_USE, values) == 1

    async def gave(self, code: Code, session_id: uuid.UUID) -> bool:
        """Remembers what a code gave; false where it may not stand."""
        values = {"of_user": code.user_id, "of_code": code.code_id, "session": session_id}
        row = await self._database.row(_GAVE, values)
        return bool(row and row[0])

    async def replayed(self, code: Code, now: datetime) -> uuid.UUID | None:
        """Remembers that a code was shown again; answers with the session that it gave."""
        values = {"of_user": code.user_id, "of_code": code.code_id, "now": now}
        row = await self._database.row(_REPLAYED, values)
        return row[0] if row else None

    async def add_browser(self, browser: Browser, now: datetime) -> None:
        """Keeps a browser's cookie; the person's oldest go where there are too many."""
        values = {
            "user_id": browser.user_id,
            "session_id": browser.session_id,
            "secret_hash": browser.secret_hash,
            "created_at": now,
            "expires_at": browser.expires_at,
        }
        async with self._database.transaction() as session:
            await session.run(_ADD_BROWSER, values)
            await session.run(_FEWER, {"of_user": browser.user_id})

    async def browser(self, user_id: uuid.UUID, session_id: uuid.UUID) -> Browser | None:
        """A browser whose session goes on."""
        row = await self._database.row(_BROWSER, {"of_user": user_id, "of_session": session_id})
        if row is None:
            return None
        user, session, digest, amr, proved, expires, name = row
        return Browser(user, session, digest, tuple(amr), proved, expires, name)

    async def drop_browser(self, user_id: uuid.UUID, session_id: uuid.UUID) -> None:
        """Forgets a browser."""
        await self._database.run(_DROP_BROWSER, {"of_user": user_id, "of_session": session_id})

    async def forget(self, codes_before: datetime, browsers_before: datetime) -> int:
        """Drops some of what is over; answers how many rows, of that which was most."""
        codes = await self._database.run(_FORGET_CODES, {"before": codes_before})
        return max(codes, await self._database.run(_FORGET_BROWSERS, {"before": browsers_before}))


def _of(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names}
