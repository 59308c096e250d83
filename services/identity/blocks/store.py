"""Blocks in SQL: kept in the same statement as what makes them felt."""

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
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import TEXT

from mesh.runtime.sql import Database, Row, Session, Statement
from services.identity.blocks import rules
from services.identity.blocks.rules import BLOCKERS, Block
from services.identity.revocations.store import generations_of, sessions_of
from services.identity.roles.rules import ADMINISTRATOR, check_authority, check_one_stays
from services.identity.roles.store import (
    held_roles,
    in_a_row,
    other_administrators,
    roles_now,
    there,
)
from services.identity.tables.revocations import STANDINGS
from services.identity.tables.roles import BLOCKS as B
from services.identity.tables.sessions import SESSIONS

SETTLE_AT_ONCE: Final = 500
_time = DateTime(timezone=True)
_user: ColumnElement[uuid.UUID] = bindparam("of_user", type_=Uuid())
_now: ColumnElement[datetime] = bindparam("now", type_=_time)
_until_when: ColumnElement[datetime] = bindparam("expires_at", type_=_time)
_COLUMNS = tuple(B.c)
_BLOCKS = Statement(
    select(*_COLUMNS)
    .where(B.c.user_id == _user)
    .order_by(B.c.lifted_at.is_(None).desc(), B.c.blocked_at.desc(), B.c.block_id.desc())
    .limit(rules.MOST_KEPT)
)
_LIFT = Statement(
    update(B)
    .where(B.c.user_id == _user, B.c.lifted_at.is_(None))
    .values(
        # What was over by itself ended then, whoever comes later.
        lifted_at=func.least(_now, B.c.expires_at),
        lifted_by=bindparam("by", type_=Uuid()),
        lifted_why=bindparam("why", type_=TEXT),
    )
)
_ADD = Statement(insert(B).values({column.name: bindparam(column.name) for column in _COLUMNS}))
_surplus = (
    select(B.c.block_id)
    .where(B.c.user_id == _user)
    .order_by(B.c.lifted_at.is_(None).desc(), B.c.blocked_at.desc(), B.c.block_id.desc())
    .offset(rules.MOST_KEPT)
)
_FORGET = Statement(delete(B).where(B.c.user_id == _user, B.c.block_id.in_(_surplus)))


def _ended(which: ColumnElement[bool]) -> CTE:
    return (
        update(SESSIONS)
        .where(SESSIONS.c.ended_at.is_(None), which)
        .values(ended_at=_now, ended_why="blocked")
        .returning(SESSIONS.c.user_id, SESSIONS.c.session_id)
        .cte("ended")
    )


_stood = (
    postgresql.insert(STANDINGS)
    .values(user_id=_user, generation=1, blocked_at=_now, blocked_until=_until_when)
    .on_conflict_do_update(
        index_elements=[STANDINGS.c.user_id],
        set_={
            "generation": STANDINGS.c.generation + 1,
            "blocked_at": _now,
            "blocked_until": _until_when,
        },
    )
    .returning(STANDINGS.c.user_id, STANDINGS.c.generation)
    .cte("stood")
)
# He does not come in, his sessions end, his tokens are not believed.
_KEEP_OUT = Statement(
    generations_of(_stood).add_cte(sessions_of(_ended(SESSIONS.c.user_id == _user)).cte("revoked"))
)
_stands = update(STANDINGS).where(STANDINGS.c.user_id == _user).values(blocked_at=null())
_LET_IN = Statement(sessions_of(_ended(SESSIONS.c.user_id == _user)).add_cte(_stands.cte("stands")))
_late = (
    select(SESSIONS.c.user_id, SESSIONS.c.session_id)
    .join(STANDINGS, STANDINGS.c.user_id == SESSIONS.c.user_id)
    .where(
        STANDINGS.c.blocked_at > bindparam("since", type_=_time),
        or_(STANDINGS.c.blocked_until.is_(None), STANDINGS.c.blocked_until > _now),
        SESSIONS.c.ended_at.is_(None),
    )
    .limit(SETTLE_AT_ONCE)
)
_SETTLE = Statement(
    sessions_of(_ended(tuple_(SESSIONS.c.user_id, SESSIONS.c.session_id).in_(_late)))
)


class BlockStore:
    """Rows of blocks <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def block(self, block: Block, by: uuid.UUID, until: datetime) -> list[Block]:
        """Keeps somebody out, in the place of the block before; all of his, the newest first.

        A repeat changes nothing.

        Raises:
            RoleLost, StaffProtected, LastAdministrator, UserNotFound
        """
        user_id, now = block.user_id, block.blocked_at
        async with self._database.transaction() as session:
            await in_a_row(session, user_id)
            if ADMINISTRATOR in await _check(session, by, user_id, now):
                check_one_stays(await other_administrators(session, user_id, now))
            before = await _newest(session, user_id)
            if before is None or not (before.holds(now) and before.says_the_same(block)):
                if before is not None:
                    await _lift(session, before, by, "", now)
                await session.run(_ADD, {c.name: getattr(block, c.name) for c in _COLUMNS})
                values = {"of_user": user_id, "now": now, "until": until}
                await session.run(_KEEP_OUT, values | {"expires_at": block.expires_at})
                await session.run(_FORGET, {"of_user": user_id})
            return await _all(session, user_id)

    async def unblock(
        self, user_id: uuid.UUID, by: uuid.UUID, why: str, now: datetime, until: datetime
    ) -> list[Block]:
        """Lets somebody in again; nothing where he is not blocked.

        Raises:
            RoleLost, StaffProtected, UserNotFound
        """
        async with self._database.transaction() as session:
            await in_a_row(session, user_id)
            await _check(session, by, user_id, now)
            before = await _newest(session, user_id)
            if before is not None and before.holds(now):
                await _lift(session, before, by, why, now)
                await session.run(_LET_IN, {"of_user": user_id, "now": now, "until": until})
            return await _all(session, user_id)

    async def blocks(self, user_id: uuid.UUID) -> list[Block]:
        """Somebody's blocks, the newest first.

        Raises:
            UserNotFound
        """
        async with self._database.session() as session:
            await there(session, user_id)
            return await _all(session, user_id)

    async def settle(self, since: datetime, now: datetime, until: datetime) -> int:
        """Ends sessions of people who were blocked since a time; answers how many."""
        return await self._database.run(_SETTLE, {"since": since, "now": now, "until": until})


async def _check(
    session: Session, by: uuid.UUID, user_id: uuid.UUID, now: datetime
) -> frozenset[str]:
    """The roles of the person, where somebody may keep him out or let him in."""
    own = await roles_now(session, by, now)
    check_authority(by, own, BLOCKERS)
    whose = await held_roles(session, user_id, now)
    rules.check_rank(own, whose)
    return whose


async def _lift(session: Session, block: Block, by: uuid.UUID, why: str, now: datetime) -> None:
    if block.lifted_at is not None:
        return
    told = {"by": by, "why": why} if block.holds(now) else {"by": None, "why": ""}
    await session.run(_LIFT, {"of_user": block.user_id, "now": now, **told})


async def _newest(session: Session, user_id: uuid.UUID) -> Block | None:
    row = await session.row(_BLOCKS, {"of_user": user_id})
    return _of(row) if row else None


async def _all(session: Session, user_id: uuid.UUID) -> list[Block]:
    return [_of(row) for row in await session.rows(_BLOCKS, {"of_user": user_id})]


def _of(row: Row) -> Block:
    told: dict[str, Any] = dict(zip((column.name for column in _COLUMNS), row, strict=True))
    return Block(**told)
