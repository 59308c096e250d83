"""Sessions in SQL."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Update,
    bindparam,
    delete,
    false,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TEXT

from mesh.runtime.sql import Database, Row, Statement
from services.identity.revocations.store import sessions_of
from services.identity.roles.held import held_by, held_of
from services.identity.sessions.rules import (
    FIRST_PARTY,
    LONGEST_IDLE,
    MOST_ENDED_KEPT,
    MOST_SESSIONS,
    AccountBlocked,
    DeviceHint,
    RefreshToken,
    Session,
)
from services.identity.tables.revocations import STANDINGS
from services.identity.tables.sessions import SESSIONS

_COLUMNS = (
    "user_id",
    "session_id",
    "chain_key",
    "token_hash",
    "previous_hash",
    "rotated_at",
    "created_at",
    "expires_at",
    "amr",
    "proved_at",
    "client_id",
    "scopes",
    "device",
    "network",
)
_TOLD = (*_COLUMNS, "ended", "generation", "blocked")
_of_user = SESSIONS.c.user_id == bindparam("of_user")
_of_session = _of_user & (SESSIONS.c.session_id == bindparam("of_session"))
_lives = SESSIONS.c.ended_at.is_(None)
_standing = STANDINGS.c.user_id == bindparam("of_user")
_generation = func.coalesce(
    select(STANDINGS.c.generation).where(_standing).scalar_subquery(), literal(0)
)
_blocked = (
    select(literal(1))
    .where(
        _standing,
        STANDINGS.c.blocked_at.is_not(None),
        STANDINGS.c.blocked_until.is_(None) | (STANDINGS.c.blocked_until > bindparam("now")),
    )
    .exists()
)
_held = held_by(bindparam("of_user", type_=SESSIONS.c.user_id.type))
_SESSION = Statement(
    select(*(SESSIONS.c[name] for name in _COLUMNS), ~_lives, _generation, _blocked, _held).where(
        _of_session
    )
)
_LIVING = Statement(
    select(*(SESSIONS.c[name] for name in _COLUMNS), ~_lives, _generation, _blocked)
    .where(
        _of_user,
        _lives,
        SESSIONS.c.session_id < bindparam("before", type_=SESSIONS.c.session_id.type),
        SESSIONS.c.expires_at > bindparam("now"),
        SESSIONS.c.rotated_at > bindparam("used_after"),
    )
    .order_by(SESSIONS.c.session_id.desc())
    .limit(bindparam("most"))
)
# What `rules.rotate` would move on, in one statement; why it did not, the rule says.
_ROTATE = Statement(
    update(SESSIONS)
    .where(
        _of_session,
        SESSIONS.c.token_hash == bindparam("shown", type_=BYTEA),
        SESSIONS.c.client_id == bindparam("of_client"),
        SESSIONS.c.expires_at > bindparam("now"),
        SESSIONS.c.rotated_at >= bindparam("used_after"),
        _lives,
        ~_blocked,
    )
    .values(
        previous_hash=SESSIONS.c.token_hash,
        token_hash=bindparam("successor", type_=BYTEA),
        rotated_at=bindparam("now"),
        device=func.coalesce(func.nullif(bindparam("device", type_=TEXT), ""), SESSIONS.c.device),
        network=func.coalesce(
            func.nullif(bindparam("network", type_=TEXT), ""), SESSIONS.c.network
        ),
    )
    .returning(
        *(SESSIONS.c[name] for name in _COLUMNS),
        false(),
        _generation,
        false(),
        _held,
    )
)
_ended: dict[str, Any] = {"ended_at": bindparam("now"), "ended_why": bindparam("why")}
_whose = (SESSIONS.c.user_id, SESSIONS.c.session_id)


def _ending(which: ColumnElement[bool]) -> Update:
    return update(SESSIONS).where(_of_user, _lives, which).values(_ended)


# With a session its access tokens end, in the same statement.
_END = Statement(
    sessions_of(_ending(SESSIONS.c.session_id == bindparam("of_session")).returning(*_whose).cte())
)
_except = bindparam("except_session", type_=SESSIONS.c.session_id.type)
_END_ALL = Statement(
    sessions_of(_ending(SESSIONS.c.session_id.is_distinct_from(_except)).returning(*_whose).cte())
)
_new = insert(SESSIONS).from_select(
    list(_COLUMNS),
    select(*(bindparam(name, type_=SESSIONS.c[name].type) for name in _COLUMNS)).where(~_blocked),
)
_surplus = (
    select(SESSIONS.c.session_id)
    .where(_of_user, _lives, SESSIONS.c.client_id == bindparam("client_id", type_=TEXT))
    .order_by(SESSIONS.c.rotated_at.desc())
    .offset(MOST_SESSIONS - 1)
)
_pushed_out = _ending(SESSIONS.c.session_id.in_(_surplus)).returning(*_whose).cte("pushed_out")
_forgettable = (
    select(SESSIONS.c.session_id)
    .where(_of_user, ~_lives)
    .order_by(SESSIONS.c.ended_at.desc())
    .offset(MOST_ENDED_KEPT)
)
_forgotten = delete(SESSIONS).where(_of_user, SESSIONS.c.session_id.in_(_forgettable))
# One person's rows are bounded: whoever opens one session too many with an app ends the longest
# idle of that app.
_OPEN = Statement(
    select(_generation, ~_blocked, _held).add_cte(
        _new.cte("opened"),
        _pushed_out,
        sessions_of(_pushed_out).cte("revoked"),
        _forgotten.cte("forgotten"),
    )
)
# Proofs add up: a code given after the password makes both the session's. Of the row that is
# changed, by its name alone: as a column it would bring all rows of the table into the query.
_its_ways: ColumnElement[Any] = literal_column("sessions.amr", ARRAY(TEXT))
_way = func.unnest(_its_ways.op("||")(bindparam("proofs", type_=ARRAY(TEXT)))).label("way")
_together = func.array(
    select(_way).distinct().order_by("way").scalar_subquery(),
    type_=ARRAY(TEXT),
)
_PROVED = Statement(
    update(SESSIONS)
    .where(_of_session, _lives)
    .values(amr=_together, proved_at=bindparam("now"))
    .returning(literal(1))
)

_OF_CLIENT = Statement(
    select(SESSIONS.c.user_id, SESSIONS.c.session_id)
    # Said, so that the index without our own apps' sessions serves.
    .where(
        SESSIONS.c.client_id == bindparam("of_client"),
        SESSIONS.c.client_id != FIRST_PARTY,
        _lives,
    )
    .limit(bindparam("most"))
)
_OF_CLIENT_AND_USER = Statement(
    select(SESSIONS.c.user_id, SESSIONS.c.session_id)
    .where(_of_user, SESSIONS.c.client_id == bindparam("of_client"), _lives)
    .limit(bindparam("most"))
)


class SessionStore:
    """Rows of sessions <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, session: Session, until: datetime) -> Session:
        """Keeps a new session; answers it with how its person stands.

        Raises:
            AccountBlocked: he may not sign in; nothing is kept.
        """
        values = _values(session) | {
            "of_user": session.user_id,
            "now": session.created_at,
            "until": until,
            "why": "too many sessions",
        }
        row = await self._database.row(_OPEN, values)
        if row is None or not row[1]:
            raise AccountBlocked
        held, has_factor = held_of(row[2])
        return replace(session, generation=row[0], held=held, has_factor=has_factor)

    async def session(
        self, user_id: uuid.UUID, session_id: uuid.UUID, now: datetime
    ) -> Session | None:
        """A session, ended or not, with how its person stands."""
        values = {"of_user": user_id, "of_session": session_id, "now": now}
        row = await self._database.row(_SESSION, values)
        return _session(row) if row else None

    async def living(
        self, user_id: uuid.UUID, before: uuid.UUID, now: datetime, most: int
    ) -> list[Session]:
        """Sessions that live, the newest first, from before one."""
        values = {
            "of_user": user_id,
            "before": before,
            "now": now,
            "used_after": now - LONGEST_IDLE,
            "most": most,
        }
        return [_session(row) for row in await self._database.rows(_LIVING, values)]

    async def rotate(
        self,
        shown: RefreshToken,
        successor: bytes,
        client_id: str,
        device: DeviceHint,
        now: datetime,
    ) -> Session | None:
        """Moves the token's session to its next token; None where the rule must be asked."""
        values = {
            "of_user": shown.user_id,
            "of_session": shown.session_id,
            "of_client": client_id,
            "used_after": now - LONGEST_IDLE,
            "shown": shown.hash,
            "successor": successor,
            "device": device.name,
            "network": device.network,
            "now": now,
        }
        row = await self._database.row(_ROTATE, values)
        return _session(row) if row else None

    async def end(
        self, user_id: uuid.UUID, session_id: uuid.UUID, why: str, now: datetime, until: datetime
    ) -> bool:
        """Ends a session and its tokens; false where it has ended already."""
        values = {
            "of_user": user_id,
            "of_session": session_id,
            "why": why,
            "now": now,
            "until": until,
        }
        return await self._database.run(_END, values) > 0

    async def end_all(
        self,
        user_id: uuid.UUID,
        why: str,
        now: datetime,
        until: datetime,
        except_session: uuid.UUID | None,
    ) -> int:
        """Ends a person's sessions and their tokens, all or all but one; answers how many."""
        values = {
            "of_user": user_id,
            "why": why,
            "now": now,
            "until": until,
            "except_session": except_session,
        }
        return await self._database.run(_END_ALL, values)

    async def of_client(
        self, client_id: str, user_id: uuid.UUID | None, most: int
    ) -> list[tuple[uuid.UUID, uuid.UUID]]:
        """Live sessions of an app of others, by user and id: one person's, or anybody's."""
        values = {"of_client": client_id, "most": most}
        if user_id is None:
            rows = await self._database.rows(_OF_CLIENT, values)
        else:
            rows = await self._database.rows(_OF_CLIENT_AND_USER, values | {"of_user": user_id})
        return [(row[0], row[1]) for row in rows]

    async def proved(
        self, user_id: uuid.UUID, session_id: uuid.UUID, proofs: frozenset[str], now: datetime
    ) -> bool:
        """Adds proofs to a live session; false where there is none."""
        values = {
            "of_user": user_id,
            "of_session": session_id,
            "proofs": sorted(proofs),
            "now": now,
        }
        return await self._database.run(_PROVED, values) == 1


def _session(row: Row) -> Session:
    told = dict(zip(_TOLD, row[: len(_TOLD)], strict=True))
    if row[len(_TOLD) :]:
        told["held"], told["has_factor"] = held_of(row[-1])
    device = DeviceHint(told.pop("device"), told.pop("network"))
    told["amr"] = tuple(told["amr"])
    if told["scopes"] is not None:
        told["scopes"] = tuple(told["scopes"])
    return Session(**told, device=device)


def _values(session: Session) -> dict[str, Any]:
    own = {name: getattr(session, name) for name in _COLUMNS[:-5]}
    return own | {
        "amr": list(session.amr),
        "proved_at": session.proved_at,
        "client_id": session.client_id,
        "scopes": None if session.scopes is None else list(session.scopes),
        "device": session.device.name,
        "network": session.device.network,
    }
