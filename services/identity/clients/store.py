"""Clients in SQL."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    Text,
    Uuid,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.sql.dml import ReturningUpdate

from mesh.runtime.sql import Database, Row, Statement
from services.identity.clients.assertions import Assertion
from services.identity.clients.rules.clients import Authentication, Client, Secret, Wanted
from services.identity.clients.rules.errors import TooManyClients
from services.identity.revocations.store import generations_of
from services.identity.sessions.rules import FIRST_PARTY
from services.identity.tables.clients import CLIENT_ASSERTIONS, CLIENTS
from services.identity.tables.revocations import STANDINGS
from services.identity.tables.sessions import SESSIONS

FORGET_AT_ONCE = 1000
_told = (
    CLIENTS.c.user_id,
    CLIENTS.c.client_id,
    CLIENTS.c.display_name,
    CLIENTS.c.about,
    CLIENTS.c.redirect_uris,
    CLIENTS.c.scopes,
    CLIENTS.c.authentication,
    CLIENTS.c.jwks,
    CLIENTS.c.secret_hash,
    CLIENTS.c.secret_at,
    CLIENTS.c.old_secret_hash,
    CLIENTS.c.old_secret_at,
    CLIENTS.c.old_secret_until,
    CLIENTS.c.request_hash,
    CLIENTS.c.version,
    CLIENTS.c.created_at,
    CLIENTS.c.sector,
)
_user: ColumnElement[uuid.UUID] = bindparam("of_user", type_=Uuid())
_client: ColumnElement[uuid.UUID] = bindparam("of_client", type_=Uuid())
_now: ColumnElement[datetime] = bindparam("now", type_=DateTime(timezone=True))
_this = (CLIENTS.c.user_id == _user) & (CLIENTS.c.client_id == _client)
_alive = CLIENTS.c.ended_at.is_(None)
# Registrations of one person come one after the other, so that their count holds.
_IN_A_ROW = Statement(
    select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("key"), literal(0x0C11E7))))
)
_made = (
    "user_id",
    "client_id",
    "display_name",
    "about",
    "redirect_uris",
    "scopes",
    "authentication",
    "jwks",
    "secret_hash",
    "secret_at",
    "request_hash",
    "version",
    "created_at",
)
# Apps of one person are of one sector.
_sector = func.coalesce(
    select(CLIENTS.c.sector).where(CLIENTS.c.user_id == _user).limit(1).scalar_subquery(),
    bindparam("sector", type_=Uuid()),
)
_count = (
    select(func.count())
    .select_from(CLIENTS)
    .where(CLIENTS.c.user_id == _user, _alive)
    .scalar_subquery()
)


def _ending(changed: ReturningUpdate[Any]) -> Select[Any]:
    """A change after which the client's own tokens of before are not believed, all in one.

    Bind parameters beside the change's own: `now`, `until`.
    """
    done = changed.cte("done")
    told = select(done.c.client_id.label("user_id"), done.c.version.label("generation"))
    ended = generations_of(told.cte("told"))
    return select(*(done.c[column.name] for column in _told)).add_cte(ended.cte("revoked"))


_ADD = Statement(
    insert(CLIENTS).from_select(
        [*_made, "sector"],
        select(*(bindparam(name, type_=CLIENTS.c[name].type) for name in _made), _sector).where(
            _count < bindparam("most")
        ),
    )
)
_OF_USER = Statement(select(*_told).where(_this))
blocked_owner = (
    select(literal(1))
    .where(
        STANDINGS.c.user_id == CLIENTS.c.user_id,
        STANDINGS.c.blocked_at.is_not(None),
        STANDINGS.c.blocked_until.is_(None) | (STANDINGS.c.blocked_until > _now),
    )
    .exists()
)
"""Whether an app of the row is suspended; bind parameter: `now`."""
_BY_ID = Statement(select(*_told, blocked_owner).where(CLIENTS.c.client_id == _client, _alive))
# Apps of others whose owner is blocked, and that still have somebody's session.
_SUSPENDED = Statement(
    select(*_told)
    .where(
        _alive,
        blocked_owner,
        select(literal(1))
        .where(
            SESSIONS.c.client_id == cast(CLIENTS.c.client_id, Text),
            SESSIONS.c.client_id != FIRST_PARTY,
            SESSIONS.c.ended_at.is_(None),
        )
        .exists(),
    )
    .limit(bindparam("page"))
)
_after = tuple_(CLIENTS.c.created_at, CLIENTS.c.client_id) > tuple_(
    bindparam("after_created_at", type_=DateTime(timezone=True)),
    bindparam("after_client", type_=Uuid()),
)
_LIST = Statement(
    select(*_told)
    .where(CLIENTS.c.user_id == _user, _alive, _after)
    .order_by(CLIENTS.c.created_at, CLIENTS.c.client_id)
    .limit(bindparam("page"))
)
_changed = ("display_name", "about", "redirect_uris", "scopes", "jwks")
_update = (
    update(CLIENTS)
    .where(_this, _alive, CLIENTS.c.version == bindparam("shown_version"))
    .values(
        **{name: bindparam(name, type_=CLIENTS.c[name].type) for name in _changed},
        version=CLIENTS.c.version + 1,
    )
    .returning(*_told)
)
_UPDATE, _UPDATE_ENDING = Statement(_update), Statement(_ending(_update))
_rotate = (
    update(CLIENTS)
    .where(_this, _alive)
    .values(
        secret_hash=bindparam("secret", type_=BYTEA),
        secret_at=_now,
        old_secret_hash=CLIENTS.c.secret_hash,
        old_secret_at=CLIENTS.c.secret_at,
        old_secret_until=bindparam("good_until", type_=DateTime(timezone=True)),
        version=CLIENTS.c.version + 1,
    )
    .returning(*_told)
)
_ROTATE, _ROTATE_ENDING = Statement(_rotate), Statement(_ending(_rotate))
_end = (
    update(CLIENTS)
    .where(_this, _alive)
    .values(
        ended_at=_now,
        secret_hash=null(),
        old_secret_hash=null(),
        jwks="",
        version=CLIENTS.c.version + 1,
    )
    .returning(*_told)
)
_END, _END_ENDING = Statement(_end), Statement(_ending(_end))
_ENDED = Statement(
    select(CLIENTS.c.user_id, CLIENTS.c.client_id, CLIENTS.c.display_name)
    .where(~_alive)
    .limit(bindparam("page"))
)
_DROP = Statement(delete(CLIENTS).where(_this, ~_alive))
_ONCE = Statement(
    postgresql.insert(CLIENT_ASSERTIONS)
    .values(
        client_id=_client,
        jti_hash=bindparam("jti", type_=BYTEA),
        expires_at=bindparam("expires_at", type_=DateTime(timezone=True)),
    )
    .on_conflict_do_nothing()
)
_old = (
    select(CLIENT_ASSERTIONS.c.client_id, CLIENT_ASSERTIONS.c.jti_hash)
    .where(CLIENT_ASSERTIONS.c.expires_at < bindparam("before", type_=DateTime(timezone=True)))
    .limit(FORGET_AT_ONCE)
)
_FORGET = Statement(
    delete(CLIENT_ASSERTIONS).where(
        tuple_(CLIENT_ASSERTIONS.c.client_id, CLIENT_ASSERTIONS.c.jti_hash).in_(_old)
    )
)


@dataclass(frozen=True, slots=True)
class Ends:
    """That a client's own tokens, issued until now, are not believed any more."""

    now: datetime
    until: datetime
    """When the last of them would be over."""

    @property
    def values(self) -> dict[str, datetime]:
        """As statements take it."""
        return {"now": self.now, "until": self.until}


class ClientStore:
    """Rows of clients <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, client: Client, most: int) -> Client | None:
        """Adds a client; answers with the one of that id where it was added before.

        Raises:
            TooManyClients: whoever answers for it has `most` already.
        """
        of = {"of_user": client.user_id, "of_client": client.client_id}
        async with self._database.transaction() as session:
            await session.row(_IN_A_ROW, {"key": str(client.user_id)})
            row = await session.row(_OF_USER, of)
            if row is not None:
                return _client_of(row)
            made = _values(client) | {"most": most, "sector": client.sector, **of}
            if await session.run(_ADD, made) == 1:
                return None
        raise TooManyClients(f"at most {most} are possible")

    async def client(self, client_id: uuid.UUID, now: datetime) -> Client | None:
        """A client by what it calls itself; None once it has ended."""
        row = await self._database.row(_BY_ID, {"of_client": client_id, "now": now})
        return replace(_client_of(row[:-1]), suspended=row[-1]) if row else None

    async def suspended(self, most: int, now: datetime) -> list[Client]:
        """Some apps of blocked people that still have a session."""
        rows = await self._database.rows(_SUSPENDED, {"page": most, "now": now})
        return [_client_of(row) for row in rows]

    async def clients(
        self, user_id: uuid.UUID, after: tuple[datetime, uuid.UUID], page: int
    ) -> list[Client]:
        """Clients that somebody answers for, the oldest first, after a time and id."""
        values = {
            "of_user": user_id,
            "after_created_at": after[0],
            "after_client": after[1],
            "page": page,
        }
        return [_client_of(row) for row in await self._database.rows(_LIST, values)]

    async def update(self, client: Client, ends: Ends | None) -> Client | None:
        """Writes what is told; None where its version is not the one on record.

        `ends` with its own tokens of before; None leaves them.
        """
        values = _values(client)
        row = await self._database.row(
            _UPDATE_ENDING if ends else _UPDATE,
            {name: values[name] for name in _changed}
            | (ends.values if ends else {})
            | {
                "of_user": client.user_id,
                "of_client": client.client_id,
                "shown_version": client.version,
            },
        )
        return _client_of(row) if row else None

    async def rotate(
        self,
        client: Client,
        secret_hash: bytes,
        now: datetime,
        until: datetime,
        ends: Ends | None,
    ) -> Client | None:
        """Gives it a new secret; the one before is good `until`, older ones are gone."""
        values = {
            "of_user": client.user_id,
            "of_client": client.client_id,
            "secret": secret_hash,
            "now": now,
            "good_until": until,
        }
        statement = _ROTATE_ENDING if ends else _ROTATE
        row = await self._database.row(statement, values | (ends.values if ends else {}))
        return _client_of(row) if row else None

    async def end(
        self, user_id: uuid.UUID, client_id: uuid.UUID, now: datetime, ends: Ends | None
    ) -> bool:
        """Ends a client; false where there is none, or none any more."""
        values = {"of_user": user_id, "of_client": client_id, "now": now}
        statement, more = (_END_ENDING, ends.values) if ends else (_END, {})
        return await self._database.row(statement, values | more) is not None

    async def ended(self, most: int) -> list[tuple[uuid.UUID, uuid.UUID, str]]:
        """Clients that have ended and are still on record, by owner and id, with their names."""
        rows = await self._database.rows(_ENDED, {"page": most})
        return [(row[0], row[1], row[2]) for row in rows]

    async def drop(self, user_id: uuid.UUID, client_id: uuid.UUID) -> None:
        """Forgets a client that has ended."""
        await self._database.run(_DROP, {"of_user": user_id, "of_client": client_id})

    async def use(self, client_id: uuid.UUID, assertion: Assertion) -> bool:
        """Takes an assertion; false where it was taken before, be it at this instant."""
        values = {
            "of_client": client_id,
            "jti": hashlib.sha256(assertion.jti.encode()).digest(),
            "expires_at": assertion.expires_at,
        }
        return await self._database.run(_ONCE, values) == 1

    async def forget_assertions(self, before: datetime) -> int:
        """Drops some assertions that nobody takes any more; answers how many."""
        return await self._database.run(_FORGET, {"before": before})


def _client_of(row: Row) -> Client:
    user_id, client_id, name, about, uris, scopes, kind, keys = row[:8]
    *secrets, digest, version, at, sector = row[8:]
    newest, made, older, older_made, until = secrets
    told = Wanted(name, about, tuple(uris), tuple(scopes), Authentication(kind), keys)
    found = [Secret(newest, made, None)] if newest else []
    if older:
        found.append(Secret(older, older_made, until))
    return Client(user_id, client_id, told, tuple(found), digest, version, at, sector)


def _values(client: Client) -> dict[str, object]:
    told = client.told
    newest = client.secrets[0] if client.secrets else None
    return {
        "user_id": client.user_id,
        "client_id": client.client_id,
        "display_name": told.display_name,
        "about": told.about,
        "redirect_uris": list(told.redirect_uris),
        "scopes": list(told.scopes),
        "authentication": int(told.authentication),
        "jwks": told.keys,
        "secret_hash": newest.hash if newest else None,
        "secret_at": newest.created_at if newest else None,
        "request_hash": client.request_hash,
        "version": client.version,
        "created_at": client.created_at,
    }
