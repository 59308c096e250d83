"""Grants in SQL. Changes come one after the other, so that each sees what the one before did."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    DateTime,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import SMALLINT, TEXT

from mesh.runtime.sql import Database, Row, Session, Statement
from services.identity.addresses.rules import State
from services.identity.addresses.store import holds
from services.identity.profiles.rules import UserNotFound
from services.identity.revocations.store import generations_of
from services.identity.roles import rules
from services.identity.roles.rules import ADMINISTRATOR, Ending, Grant
from services.identity.tables.auth import ACCOUNTS, ADDRESSES
from services.identity.tables.factors import SECOND_FACTORS
from services.identity.tables.revocations import STANDINGS
from services.identity.tables.roles import ROLE_GRANTS as G

EXPIRE_AT_ONCE: Final = 500
_time = DateTime(timezone=True)
_user: ColumnElement[uuid.UUID] = bindparam("of_user", type_=Uuid())
_grant: ColumnElement[uuid.UUID] = bindparam("of_grant", type_=Uuid())
_role: ColumnElement[str] = bindparam("of_role", type_=TEXT)
_now: ColumnElement[datetime] = bindparam("now", type_=_time)
_COLUMNS = tuple(G.c)
_lives = G.c.ended_at.is_(None)
_holds = _lives & (G.c.expires_at > _now)
_not_blocked = (
    ~select(literal(1))
    .where(
        STANDINGS.c.user_id == G.c.user_id,
        STANDINGS.c.blocked_at.is_not(None),
        or_(STANDINGS.c.blocked_until.is_(None), STANDINGS.c.blocked_until > _now),
    )
    .exists()
)

_IN_A_ROW = Statement(
    select(func.pg_advisory_xact_lock(func.hashtextextended(literal("roles"), literal(0x201E))))
)
_THERE = Statement(select(literal(1)).where(ACCOUNTS.c.user_id == _user))
_AUTHORITY = Statement(select(G.c.role).where(G.c.user_id == _user, _holds, _not_blocked))
_HOLDS = Statement(select(G.c.role).where(G.c.user_id == _user, _holds))
_OTHER_ADMINISTRATORS = Statement(
    select(func.count()).where(
        G.c.role == ADMINISTRATOR, G.c.user_id != _user, _holds, _not_blocked
    )
)
_GRANT = Statement(select(*_COLUMNS).where(G.c.user_id == _user, G.c.grant_id == _grant))
_LIVING = Statement(select(*_COLUMNS).where(G.c.user_id == _user, G.c.role == _role, _lives))
_END = Statement(
    update(G)
    .where(G.c.user_id == _user, G.c.grant_id == _grant, _lives)
    .values(
        ended_at=_now,
        ended_how=bindparam("how", type_=SMALLINT),
        ended_by=bindparam("by", type_=Uuid()),
        ended_why=bindparam("why", type_=TEXT),
    )
)
_ADD = Statement(insert(G).values({column.name: bindparam(column.name) for column in _COLUMNS}))
_over = (
    select(G.c.grant_id)
    .where(G.c.user_id == _user, ~_lives)
    .order_by(G.c.ended_at.desc(), G.c.grant_id)
    .offset(rules.MOST_ENDED_KEPT)
)
_FORGET = Statement(delete(G).where(G.c.user_id == _user, G.c.grant_id.in_(_over)))


def raised(who: Any) -> CTE:
    """The next generation of each person that `who` answers with, by `user_id`."""
    change = postgresql.insert(STANDINGS).from_select(
        ["user_id", "generation"], select(who.c.user_id, literal(1))
    )
    return (
        change.on_conflict_do_update(
            index_elements=[STANDINGS.c.user_id],
            set_={"generation": STANDINGS.c.generation + 1},
        )
        .returning(STANDINGS.c.user_id, STANDINGS.c.generation)
        .cte("raised")
    )


# Tokens from before are not believed any more: they say too much, or too little.
_RAISE = Statement(generations_of(raised(select(_user.label("user_id")).cte("him"))))
_due = (
    select(G.c.user_id, G.c.grant_id)
    .where(_lives, G.c.expires_at <= _now)
    .limit(EXPIRE_AT_ONCE)
    .with_for_update(skip_locked=True)
    .cte("due")
)
_expired = (
    update(G)
    .where(G.c.user_id == _due.c.user_id, G.c.grant_id == _due.c.grant_id)
    .values(ended_at=G.c.expires_at, ended_how=Ending.EXPIRED.value)
    .returning(G.c.user_id)
    .cte("expired")
)
_EXPIRE = Statement(generations_of(raised(select(_expired.c.user_id).distinct().cte("them"))))
_factor = (
    select(literal(1))
    .where(
        SECOND_FACTORS.c.user_id == _user,
        or_(SECOND_FACTORS.c.totp_id.is_not(None), SECOND_FACTORS.c.passkeys > 0),
    )
    .exists()
)
_FACTOR = Statement(select(_factor))
_powerless = select(G.c.user_id).where(G.c.user_id == _user, _lives, ~_factor).distinct()
_FACTOR_LOST = Statement(generations_of(raised(_powerless.cte("powerless"))))
_whose: ColumnElement[uuid.UUID] = bindparam("whose", type_=Uuid())
_LIST = Statement(
    select(*_COLUMNS)
    .where(
        or_(_whose.is_(None), G.c.user_id == _whose),
        or_(_role == "", G.c.role == _role),
        or_(bindparam("ended"), _holds),
        tuple_(G.c.granted_at, G.c.grant_id)
        < tuple_(bindparam("before", type_=_time), bindparam("before_id", type_=Uuid())),
    )
    .order_by(G.c.granted_at.desc(), G.c.grant_id.desc())
    .limit(bindparam("most"))
)
_PERSON = Statement(
    select(ADDRESSES.c.user_id, ADDRESSES.c.state).where(
        ADDRESSES.c.address_key == bindparam("key", type_=TEXT), holds
    )
)


async def in_a_row(session: Session, user_id: uuid.UUID) -> None:
    """Lets nobody else change roles or blocks until the transaction ends.

    Raises:
        UserNotFound: there is no such person.
    """
    await session.row(_IN_A_ROW, {})
    await there(session, user_id)


async def there(session: Session, user_id: uuid.UUID) -> None:
    """Goes on where there is such a person.

    Raises:
        UserNotFound
    """
    if await session.row(_THERE, {"of_user": user_id}) is None:
        raise UserNotFound


async def roles_now(session: Session, user_id: uuid.UUID, now: datetime) -> frozenset[str]:
    """What somebody may as of now; nothing while he is blocked."""
    rows = await session.rows(_AUTHORITY, {"of_user": user_id, "now": now})
    return frozenset(row[0] for row in rows)


async def held_roles(session: Session, user_id: uuid.UUID, now: datetime) -> frozenset[str]:
    """What somebody has as of now, blocked or not."""
    rows = await session.rows(_HOLDS, {"of_user": user_id, "now": now})
    return frozenset(row[0] for row in rows)


async def other_administrators(session: Session, user_id: uuid.UUID, now: datetime) -> int:
    """How many can grant roles beside somebody."""
    row = await session.row(_OTHER_ADMINISTRATORS, {"of_user": user_id, "now": now})
    return int(row[0]) if row else 0


async def factor_lost(session: Session, user_id: uuid.UUID, now: datetime, until: datetime) -> None:
    """Raises the generation of who has a role and, as of now, no second factor.

    Tokens that say roles are not believed any more; to be called in the transaction that
    took the factor away, so that there is no moment, and no death, between the two.
    """
    await session.run(_FACTOR_LOST, {"of_user": user_id, "now": now, "until": until})


class RoleStore:
    """Rows of grants <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def grant(self, grant: Grant, by: uuid.UUID, until: datetime) -> Grant:
        """Keeps a grant in the place of the one before; a repeat finds its first one.

        Raises:
            RoleLost, RequestIdReused, UserNotFound
        """
        now = grant.granted_at
        async with self._database.transaction() as session:
            await in_a_row(session, grant.user_id)
            found = await _found(session, _GRANT, of_user=grant.user_id, of_grant=grant.grant_id)
            if found is not None:
                return rules.repeated(grant, found)
            await _check(session, by, now)
            before = await _found(session, _LIVING, of_user=grant.user_id, of_role=grant.role)
            if before is not None:
                expired = before.expires_at <= now
                how = Ending.EXPIRED if expired else Ending.REPLACED
                await _end(session, before, how, None if expired else by, "", now)
            await session.run(_ADD, _values(grant))
            await session.run(_RAISE, {"of_user": grant.user_id, "now": now, "until": until})
            await session.run(_FORGET, {"of_user": grant.user_id})
        return grant

    async def revoke(
        self,
        user_id: uuid.UUID,
        grant_id: uuid.UUID,
        by: uuid.UUID,
        why: str,
        now: datetime,
        until: datetime,
    ) -> Grant:
        """Ends a grant; what has ended stays as it is.

        Raises:
            RoleLost, RoleGrantNotFound, RoleGrantReplaced, LastAdministrator
        """
        async with self._database.transaction() as session:
            try:
                await in_a_row(session, user_id)
            except UserNotFound:
                raise rules.RoleGrantNotFound from None
            await _check(session, by, now)
            grant = await _found(session, _GRANT, of_user=user_id, of_grant=grant_id)
            if grant is None:
                raise rules.RoleGrantNotFound
            living = await _found(session, _LIVING, of_user=user_id, of_role=grant.role)
            if grant.as_of(now).ended_at is not None:
                if grant.ended_how is Ending.REPLACED and living and living.expires_at > now:
                    raise rules.RoleGrantReplaced
                return grant
            if grant.role == ADMINISTRATOR:
                rules.check_one_stays(await other_administrators(session, user_id, now))
            await _end(session, grant, Ending.REVOKED, by, why, now)
            await session.run(_RAISE, {"of_user": user_id, "now": now, "until": until})
            await session.run(_FORGET, {"of_user": user_id})
            found = await _found(session, _GRANT, of_user=user_id, of_grant=grant_id)
        return found or grant

    async def expire(self, now: datetime, until: datetime) -> int:
        """Ends some of the grants whose time is over; of how many people."""
        return await self._database.run(_EXPIRE, {"now": now, "until": until})

    async def grants(
        self,
        user_id: uuid.UUID | None,
        role: str,
        before: tuple[datetime, uuid.UUID],
        most: int,
        now: datetime,
        *,
        ended: bool,
    ) -> list[Grant]:
        """Grants from before a time and id, the newest first; of one person or of all."""
        values = {
            "whose": user_id,
            "of_role": role,
            "ended": ended,
            "now": now,
            "before": before[0],
            "before_id": before[1],
            "most": most,
        }
        return [_of(row) for row in await self._database.rows(_LIST, values)]

    async def has_factor(self, user_id: uuid.UUID) -> bool:
        """Whether somebody has a second factor."""
        row = await self._database.row(_FACTOR, {"of_user": user_id})
        return bool(row and row[0])

    async def person(self, address_key: str) -> tuple[uuid.UUID, bool] | None:
        """Whose an address is, and whether that was proved."""
        row = await self._database.row(_PERSON, {"key": address_key})
        return (row[0], row[1] == State.VERIFIED.value) if row else None


async def _check(session: Session, by: uuid.UUID, now: datetime) -> None:
    rules.check_authority(by, await roles_now(session, by, now), {ADMINISTRATOR})


async def _found(session: Session, statement: Statement, **values: Any) -> Grant | None:
    row = await session.row(statement, values)
    return _of(row) if row else None


async def _end(
    session: Session, grant: Grant, how: Ending, by: uuid.UUID | None, why: str, now: datetime
) -> None:
    values = {
        "of_user": grant.user_id,
        "of_grant": grant.grant_id,
        "how": how.value,
        "by": by,
        "why": why,
        "now": grant.expires_at if how is Ending.EXPIRED else now,
    }
    await session.run(_END, values)


def _of(row: Row) -> Grant:
    told = dict(zip((column.name for column in _COLUMNS), row, strict=True))
    return Grant(**told | {"ended_how": Ending(told["ended_how"])})


def _values(grant: Grant) -> dict[str, Any]:
    return {column.name: getattr(grant, column.name) for column in _COLUMNS} | {
        "ended_how": grant.ended_how.value
    }
