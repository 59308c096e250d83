"""Second factors in SQL: each thing that serves once is spent by the statement that looks."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Float,
    LargeBinary,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

from mesh.runtime.sql import Conflict, Database, Session, Statement, Undo
from services.identity.factors import rules
from services.identity.factors.passkeys import Passkey
from services.identity.factors.rules import Factors, Totp
from services.identity.factors.tickets import Ticket
from services.identity.letters import store as letters
from services.identity.letters.rules import Kind, Letter
from services.identity.roles.store import factor_lost
from services.identity.tables.factors import PASSKEYS, SECOND_FACTORS, USED_TICKETS

_NEVER = datetime.fromtimestamp(0, UTC)
_F, _P, _T = SECOND_FACTORS.c, PASSKEYS.c, USED_TICKETS.c
_BYTES = ARRAY(LargeBinary)
_NOBODYS: Any = cast(postgresql.array([], type_=LargeBinary), _BYTES)
_now = bindparam("now", type_=TIMESTAMP(timezone=True))
_of_user = _F.user_id == bindparam("of_user")
_is_second = or_(_F.totp_id.is_not(None), _F.passkeys > 0)
_calm: dict[str, Any] = {
    "failures": 0,
    "throttled_until": _NEVER,
    # Whoever still has his factors needs no reset: so a wrong one is called off.
    "reset_at": null(),
    "reset_by": null(),
    "reset_why": null(),
}
_no_totp: dict[str, Any] = {"totp_id": null(), "totp_secret": null(), "totp_created_at": null()}


def _row(**own: Any) -> Any:
    """A person's first row."""
    empty: dict[str, Any] = {
        "user_id": bindparam("of_user"),
        "totp_last_step": 0,
        "recovery_hashes": _NOBODYS,
        "passkeys": 0,
        "failures": 0,
        "throttled_until": _NEVER,
    }
    return postgresql.insert(SECOND_FACTORS).values(**empty | own)


_FACTORS = Statement(
    select(
        _F.totp_id,
        _F.totp_secret,
        _F.totp_last_step,
        _F.totp_created_at,
        func.cardinality(_F.recovery_hashes),
        _F.passkeys,
        _F.reset_at,
        _F.throttled_until,
    ).where(_of_user)
)
_wait_s = func.least(
    rules.FIRST_WAIT_S
    * func.power(2.0, func.least(_F.failures - rules.FREE_FAILURES, 20), type_=Float),
    rules.LONGEST_WAIT_S,
)
_CHARGE = Statement(
    _row(failures=1)
    .on_conflict_do_update(
        index_elements=[_F.user_id],
        set_={
            "failures": _F.failures + 1,
            "throttled_until": case(
                (
                    _F.failures >= rules.FREE_FAILURES,
                    _now + func.make_interval(0, 0, 0, 0, 0, 0, _wait_s),
                ),
                else_=_F.throttled_until,
            ),
        },
        where=_F.throttled_until <= _now,
    )
    .returning(literal(1))
)
_totp: dict[str, Any] = {
    "totp_id": bindparam("totp_id"),
    "totp_secret": bindparam("totp_secret"),
    "totp_last_step": bindparam("step"),
    "totp_created_at": _now,
}


def _telling(change: Any, name: str) -> Statement:
    """A change and, where there was one, a letter about it: as many rows as letters."""
    return Statement(letters.asking(change.returning(literal(1).label("one")).cte(name)))


_ADD_TOTP = _telling(
    _row(**_totp).on_conflict_do_update(
        index_elements=[_F.user_id], set_=_totp | _calm, where=_F.totp_id.is_(None)
    ),
    "added",
)
_REMOVE_TOTP = _telling(
    update(SECOND_FACTORS)
    .where(_of_user, _F.totp_id.is_not(None))
    .values(
        **_no_totp, recovery_hashes=case((_F.passkeys == 0, _NOBODYS), else_=_F.recovery_hashes)
    ),
    "removed",
)
_SPEND_TOTP = Statement(
    update(SECOND_FACTORS)
    .where(_of_user, _F.totp_id == bindparam("of_totp"), _F.totp_last_step < bindparam("step"))
    .values(totp_last_step=bindparam("step"), **_calm)
)
_hash = bindparam("hash", type_=LargeBinary)
_SPEND_RECOVERY_CODE = _telling(
    update(SECOND_FACTORS)
    .where(_of_user, _is_second, _hash == func.any(_F.recovery_hashes))
    .values(recovery_hashes=func.array_remove(_F.recovery_hashes, _hash), **_calm),
    "spent",
)
_NEW_CODES = _telling(
    update(SECOND_FACTORS)
    .where(_of_user, _is_second)
    .values(recovery_hashes=bindparam("hashes", type_=_BYTES)),
    "replaced",
)
_PASSKEY_COLUMNS = (
    _P.passkey_id, _P.credential_id, _P.public_key, _P.sign_count, _P.is_synced, _P.transports,
    _P.display_name, _P.created_at, _P.used_at,
)  # fmt: skip
_his_passkeys = _P.user_id == bindparam("of_user")
_PASSKEYS = Statement(
    select(*_PASSKEY_COLUMNS)
    .where(_his_passkeys)
    .order_by(_P.passkey_id)
    .limit(rules.MOST_PASSKEYS)
)
_one_more = (
    _row(passkeys=1)
    .on_conflict_do_update(
        index_elements=[_F.user_id],
        set_={"passkeys": _F.passkeys + 1},
        where=_F.passkeys < rules.MOST_PASSKEYS,
    )
    .returning(_F.user_id)
    .cte("one_more")
)
_ADD_PASSKEY = _telling(
    insert(PASSKEYS).from_select(
        ["user_id", *(each.name for each in _PASSKEY_COLUMNS)],
        select(
            _one_more.c.user_id,
            *(bindparam(f"new_{each.name}", type_=each.type) for each in _PASSKEY_COLUMNS),
        ),
    ),
    "added",
)
_this_passkey = and_(_his_passkeys, _P.passkey_id == bindparam("of_passkey"))
_gone = delete(PASSKEYS).where(_this_passkey).returning(_P.user_id).cte("gone")
_REMOVE_PASSKEY = _telling(
    update(SECOND_FACTORS)
    .where(_F.user_id == _gone.c.user_id)
    .values(
        passkeys=_F.passkeys - 1,
        recovery_hashes=case(
            (and_(_F.passkeys == 1, _F.totp_id.is_(None)), _NOBODYS), else_=_F.recovery_hashes
        ),
    ),
    "removed",
)
_RENAME_PASSKEY = Statement(
    update(PASSKEYS)
    .where(_this_passkey)
    .values(display_name=bindparam("new_name"))
    .returning(*_PASSKEY_COLUMNS)
)
_count = bindparam("count", type_=_P.sign_count.type)
# A counter that does not go forward is of a copy; who has none says zero always.
_signed = (
    update(PASSKEYS)
    .where(_this_passkey, or_(_P.sign_count < _count, and_(_P.sign_count == 0, _count == 0)))
    .values(sign_count=_count, used_at=_now, is_synced=bindparam("synced"))
    .returning(_P.user_id)
    .cte("signed")
)
_SPEND_PASSKEY = Statement(
    update(SECOND_FACTORS).where(_F.user_id == _signed.c.user_id).values(**_calm)
)
_used = postgresql.insert(USED_TICKETS)
_TRY = Statement(
    _used.values(
        ticket_id=bindparam("ticket"), tries=1, is_spent=False, expires_at=bindparam("until")
    )
    .on_conflict_do_update(
        index_elements=[_T.ticket_id],
        set_={"tries": _T.tries + 1},
        where=and_(~_T.is_spent, _T.tries < rules.MOST_TRIES),
    )
    .returning(literal(1))
)
_SPEND_TICKET = Statement(
    _used.values(
        ticket_id=bindparam("ticket"), tries=1, is_spent=True, expires_at=bindparam("until")
    )
    .on_conflict_do_update(
        index_elements=[_T.ticket_id], set_={"is_spent": True}, where=~_T.is_spent
    )
    .returning(literal(1))
)
_FORGET_TICKETS = Statement(delete(USED_TICKETS).where(_T.expires_at < _now))
_PLAN_RESET = _telling(
    update(SECOND_FACTORS)
    # A repeat moves nothing.
    .where(_of_user, _is_second, _F.reset_at.is_(None))
    .values(reset_at=bindparam("at"), reset_by=bindparam("by"), reset_why=bindparam("why")),
    "planned",
)
_due = (
    select(_F.user_id)
    .where(_F.reset_at <= _now)
    .limit(1)
    .with_for_update(skip_locked=True)
    .cte("due")
)
_lost = delete(PASSKEYS).where(_P.user_id == _due.c.user_id).cte("lost")
_RESET = Statement(
    update(SECOND_FACTORS)
    .where(_F.user_id == _due.c.user_id)
    .values(**_calm | _no_totp, recovery_hashes=_NOBODYS, passkeys=0)
    .returning(_F.user_id)
    .add_cte(_lost)
)


_LOSE_ALL = Statement(
    update(SECOND_FACTORS)
    .where(_of_user)
    .values(**_calm | _no_totp, recovery_hashes=_NOBODYS, passkeys=0)
    .add_cte(delete(PASSKEYS).where(_his_passkeys).cte("lost"))
)


class Spend:
    """What serves once, and how it is spent; made by the functions below."""

    __slots__ = ("statement", "values")

    def __init__(self, statement: Statement, values: Mapping[str, Any]) -> None:
        self.statement = statement
        self.values = values


def totp(user_id: uuid.UUID, totp_id: uuid.UUID, step: int) -> Spend:
    """The code of a step; none up to it is taken after."""
    return Spend(_SPEND_TOTP, {"of_user": user_id, "of_totp": totp_id, "step": step})


def recovery_code(user_id: uuid.UUID, code_hash: bytes, now: datetime) -> Spend:
    """A recovery code."""
    told = _told(Kind.RECOVERY_CODE_USED, user_id, "recovery_code", now)
    return Spend(_SPEND_RECOVERY_CODE, {"of_user": user_id, "hash": code_hash, **told})


def passkey(
    user_id: uuid.UUID, passkey_id: uuid.UUID, count: int, *, is_synced: bool, now: datetime
) -> Spend:
    """A signature whose counter says `count`."""
    values = {"of_user": user_id, "of_passkey": passkey_id, "count": count, "synced": is_synced}
    return Spend(_SPEND_PASSKEY, values | {"now": now})


class FactorStore:
    """Rows of second factors <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def factors(self, user_id: uuid.UUID) -> Factors:
        """What a person has set up; nothing where he never has."""
        row = await self._database.row(_FACTORS, {"of_user": user_id})
        if row is None:
            return Factors()
        totp_id, secret, last_step, created_at, codes, passkeys, reset_at, _ = row
        found = Totp(totp_id, secret, last_step, created_at) if totp_id else None
        return Factors(found, codes, passkeys, reset_at)

    async def charge(self, user_id: uuid.UUID, now: datetime) -> None:
        """Counts a try before it is made: fifty at once are fifty.

        Raises:
            SecondFactorThrottled: it may not be made now.
        """
        if await self._database.run(_CHARGE, {"of_user": user_id, "now": now}):
            return
        row = await self._database.row(_FACTORS, {"of_user": user_id})
        until = row[-1] if row else now
        raise rules.SecondFactorThrottled(max(1.0, (until - now).total_seconds()))

    async def try_ticket(self, ticket: Ticket) -> bool:
        """Counts a try of a ticket; false where it has none left."""
        return await self._database.run(_TRY, _of(ticket)) == 1

    async def spend(self, ticket: Ticket | None, what: Spend) -> bool:
        """Spends both or none; false where one of them was spent already."""
        done = False
        async with self._database.transaction() as session:
            done = await _both(session, ticket, what)
            if not done:
                raise Undo
        return done

    async def forget_tickets(self, now: datetime) -> None:
        """Forgets tickets whose time is over: nobody takes them any more."""
        await self._database.run(_FORGET_TICKETS, {"now": now})

    async def add_totp(
        self, user_id: uuid.UUID, totp_id: uuid.UUID, sealed: bytes, step: int, now: datetime
    ) -> bool:
        """Keeps a confirmed app; false where there is one."""
        values = {"of_user": user_id, "totp_id": totp_id, "totp_secret": sealed}
        values |= {"step": step, "now": now, **_told(Kind.FACTOR_ADDED, user_id, "totp", now)}
        return await self._database.run(_ADD_TOTP, values) == 1

    async def remove_totp(self, user_id: uuid.UUID, now: datetime, until: datetime) -> None:
        """Forgets the app. Recovery codes go with the last factor, and what tokens say of roles,
        for as long as any lives: `until`.
        """
        values = {"of_user": user_id, **_told(Kind.FACTOR_REMOVED, user_id, "totp", now)}
        async with self._database.transaction() as session:
            await session.run(_REMOVE_TOTP, values)
            await factor_lost(session, user_id, now, until)

    async def new_codes(self, user_id: uuid.UUID, hashes: Sequence[bytes], now: datetime) -> bool:
        """Replaces all recovery codes; false where there is no factor beside them."""
        values = {"of_user": user_id, "hashes": list(hashes)}
        values |= _told(Kind.FACTOR_ADDED, user_id, "recovery_code", now)
        return await self._database.run(_NEW_CODES, values) == 1

    async def passkeys(self, user_id: uuid.UUID) -> list[Passkey]:
        """A person's passkeys, the oldest first."""
        return [Passkey(*row) for row in await self._database.rows(_PASSKEYS, {"of_user": user_id})]

    async def add_passkey(self, ticket: Ticket, user_id: uuid.UUID, made: Passkey) -> bool:
        """Spends a ticket for a passkey; false where it was spent, and what it was spent for is
        there to be read.

        Raises:
            PasskeyRefused: somebody has it already.
            PasskeysTooMany
        """
        values = {f"new_{each.name}": getattr(made, each.name) for each in _PASSKEY_COLUMNS}
        values |= _told(Kind.FACTOR_ADDED, user_id, "passkey", made.created_at)
        try:
            async with self._database.transaction() as session:
                # A twin waits here until the first of them is done or undone.
                if not await session.run(_SPEND_TICKET, _of(ticket)):
                    return False
                if not await session.run(_ADD_PASSKEY, values | {"of_user": user_id}):
                    raise rules.PasskeysTooMany
        except Conflict as conflict:
            if conflict.constraint != "passkeys_credential_id":
                raise
            raise rules.PasskeyRefused from None
        return True

    async def remove_passkey(
        self, user_id: uuid.UUID, passkey_id: uuid.UUID, now: datetime, until: datetime
    ) -> None:
        """Forgets a passkey; what goes with the last factor, as `remove_totp`."""
        values = {"of_user": user_id, "of_passkey": passkey_id}
        values |= _told(Kind.FACTOR_REMOVED, user_id, "passkey", now)
        async with self._database.transaction() as session:
            await session.run(_REMOVE_PASSKEY, values)
            await factor_lost(session, user_id, now, until)

    async def rename_passkey(
        self, user_id: uuid.UUID, passkey_id: uuid.UUID, name: str
    ) -> Passkey | None:
        """Names a passkey anew; None where there is none."""
        values = {"of_user": user_id, "of_passkey": passkey_id, "new_name": name}
        row = await self._database.row(_RENAME_PASSKEY, values)
        return Passkey(*row) if row else None

    async def plan_reset(
        self, user_id: uuid.UUID, at: datetime, by: uuid.UUID, why: str, now: datetime
    ) -> None:
        """Plans the loss of all factors; nothing where it is planned, or there is none to lose."""
        values = {"of_user": user_id, "at": at, "by": by, "why": why}
        values |= _told(Kind.FACTORS_RESET_PLANNED, user_id, at.isoformat("T", "minutes"), now)
        await self._database.run(_PLAN_RESET, values)

    async def lose_all(self, user_id: uuid.UUID) -> None:
        """Forgets all that a person has set up."""
        await self._database.run(_LOSE_ALL, {"of_user": user_id})

    async def reset(self, now: datetime, until: datetime) -> bool:
        """Does one of the resets that are due, and what goes with the last factor; false where
        none is due.
        """
        async with self._database.transaction() as session:
            row = await session.row(_RESET, {"now": now})
            if row is not None:
                await factor_lost(session, row[0], now, until)
        return row is not None


async def _both(session: Session, ticket: Ticket | None, what: Spend) -> bool:
    if ticket is not None and not await session.run(_SPEND_TICKET, _of(ticket)):
        return False
    return await session.run(what.statement, what.values) == 1


def _told(kind: Kind, user_id: uuid.UUID, what: str, now: datetime) -> Mapping[str, Any]:
    name = "time" if kind is Kind.FACTORS_RESET_PLANNED else "factor"
    return letters.values(Letter(kind, user_id, details={name: what}), now)


def _of(ticket: Ticket) -> dict[str, Any]:
    # Kept a while longer than it is taken, so that no clock's difference revives it.
    return {"ticket": ticket.ticket_id, "until": ticket.expires_at + timedelta(minutes=5)}
