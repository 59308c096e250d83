"""Erasures in SQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    DateTime,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    delete,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Statement, Undo
from mesh.runtime.subjects.tombstones import Tombstone
from mesh.runtime.subjects.whole import MARK
from mesh.runtime.tables import ERASED_PEOPLE
from services.identity.erasures.rules import Erasure, State, Step
from services.identity.letters import store as letters
from services.identity.letters.rules import Kind, Letter
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.privacy import ERASURE_STEPS, ERASURES, PERSON_KEYS
from services.identity.tables.profiles import PROFILES

_time = DateTime(timezone=True)
_now = bindparam("now", type_=_time)
_user = bindparam("of_user", type_=Uuid())
_columns = [column for column in ERASURES.c]  # noqa: C416 - a list of what iterates columns
_ours = and_(
    ERASURES.c.user_id == _user,
    ERASURES.c.erasure_id == bindparam("of_erasure", type_=Uuid()),
)
_from = ERASURES.c.state == bindparam("before", type_=Integer())
_more = ERASURES.c.revision + 1
_new = [
    "user_id",
    "erasure_id",
    "state",
    "requested_at",
    "due_at",
    "secret_hash",
    "secret_sealed",
    "certificate",
    "revision",
]
# Only of people who are there, and only where none is under way.
_planned = (
    insert(ERASURES)
    .from_select(
        _new,
        select(
            ACCOUNTS.c.user_id,
            bindparam("of_erasure", type_=Uuid()),
            literal(State.PLANNED.value),
            _now,
            bindparam("due_at", type_=_time),
            bindparam("secret_hash", type_=LargeBinary()),
            bindparam("secret_sealed", type_=LargeBinary()),
            literal(""),
            literal(1),
        ).where(ACCOUNTS.c.user_id == _user),
    )
    .on_conflict_do_nothing()
    .returning(ERASURES.c.user_id)
    .cte("planned")
)
_PLAN = Statement(letters.asking(_planned))
# The newest: those before it were cancelled.
_OF_USER = Statement(
    select(*_columns)
    .where(ERASURES.c.user_id == _user)
    .order_by(ERASURES.c.requested_at.desc(), ERASURES.c.erasure_id.desc())
    .limit(1)
)
_BY_ID = Statement(
    select(*_columns).where(ERASURES.c.erasure_id == bindparam("of_erasure", type_=Uuid()))
)
_cancelled = (
    update(ERASURES)
    .where(_ours, _from)
    .values(state=State.CANCELLED.value, revision=_more)
    .returning(ERASURES.c.user_id)
    .cte("cancelled")
)
_CANCEL = Statement(letters.asking(_cancelled))
_DUE = Statement(
    select(*_columns)
    .where(
        ERASURES.c.due_at <= _now,
        ERASURES.c.state.in_(
            [literal(each.value) for each in (State.PLANNED, State.ERASING, State.SETTLING)]
        ),
    )
    .order_by(ERASURES.c.due_at)
    .limit(bindparam("most", type_=Integer))
)
_key_id = select(PERSON_KEYS.c.key_id).where(PERSON_KEYS.c.user_id == _user).scalar_subquery()
_BEGIN = Statement(
    update(ERASURES)
    .where(_ours, _from)
    .values(state=State.ERASING.value, begun_at=_now, key_id=_key_id, revision=_more)
)
_last_card = (
    update(PROFILES)
    .where(PROFILES.c.user_id == _user)
    .values(card_version=PROFILES.c.card_version + 1)
    .returning(PROFILES.c.card_version)
    .cte("last_card")
)
_TELL = Statement(outbox.publishing(_last_card, _last_card.c.card_version))
_STEPS = Statement(
    select(
        ERASURE_STEPS.c.look,
        ERASURE_STEPS.c.service,
        ERASURE_STEPS.c.erased,
        ERASURE_STEPS.c.attempts,
        ERASURE_STEPS.c.next_at,
        ERASURE_STEPS.c.done_at,
    )
    .where(
        ERASURE_STEPS.c.user_id == _user,
        ERASURE_STEPS.c.erasure_id == bindparam("of_erasure", type_=Uuid()),
    )
    .order_by(ERASURE_STEPS.c.look, ERASURE_STEPS.c.service)
)
_step = insert(ERASURE_STEPS).values(
    user_id=_user,
    erasure_id=bindparam("of_erasure", type_=Uuid()),
    look=bindparam("look"),
    service=bindparam("of_service"),
    erased=bindparam("erased"),
    attempts=bindparam("attempts"),
    next_at=bindparam("next_at"),
    done_at=bindparam("done_at"),
)
# What was done stays done, whatever somebody who was slower says.
_SAY = Statement(
    _step.on_conflict_do_update(
        index_elements=[column.name for column in ERASURE_STEPS.primary_key.columns],
        set_={
            name: getattr(_step.excluded, name)
            for name in ("erased", "attempts", "next_at", "done_at")
        },
        where=ERASURE_STEPS.c.done_at.is_(None),
    )
)
_MOVE = Statement(
    update(ERASURES)
    .where(_ours, _from)
    .values(
        state=bindparam("after", type_=Integer()),
        due_at=bindparam("next_at", type_=_time),
        erased_at=func.coalesce(ERASURES.c.erased_at, _now),
        finished_at=bindparam("finished_at", type_=_time),
        certificate=bindparam("certificate", type_=Text()),
        secret_sealed=null(),
        revision=_more,
    )
)
_hash = func.encode(func.sha256(func.uuid_send(ERASED_PEOPLE.c.user_id)), "hex")
_KNOWN = Statement(select(_hash).where(_hash == any_(bindparam("names", type_=ARRAY(Text)))))
_REVIVED = Statement(
    insert(ERASURES)
    .values(
        user_id=_user,
        erasure_id=bindparam("of_erasure", type_=Uuid()),
        state=State.ERASING.value,
        requested_at=_now,
        due_at=_now,
        begun_at=_now,
        secret_hash=bindparam("secret_hash", type_=LargeBinary()),
        certificate="",
        revision=1,
    )
    .on_conflict_do_nothing()
)
_DROP_STEPS = Statement(delete(ERASURE_STEPS).where(ERASURE_STEPS.c.user_id == _user))
_DROP_OTHERS = Statement(
    delete(ERASURES).where(
        ERASURES.c.user_id == _user,
        ERASURES.c.erasure_id != bindparam("of_erasure", type_=Uuid()),
    )
)
_BACK_TO_BEGUN = Statement(
    update(ERASURES)
    .where(_ours)
    .values(state=State.ERASING.value, begun_at=_now, due_at=_now, revision=_more)
)
_ERASED = Statement(
    select(ERASED_PEOPLE.c.user_id)
    .where(ERASED_PEOPLE.c.user_id > bindparam("after", type_=Uuid()))
    .order_by(ERASED_PEOPLE.c.user_id)
    .limit(bindparam("most", type_=Integer))
)


class ErasureStore:
    """Rows of erasures <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def plan(self, erasure: Erasure) -> None:
        """Keeps a new one, unless one is under way or there is no such person; and tells him."""
        until = {"until": f"{erasure.due_at:%Y-%m-%d}"}
        told = Letter(Kind.ERASURE_PLANNED, erasure.user_id, None, until)
        values = _key(erasure.user_id, erasure.erasure_id) | {
            **letters.values(told, erasure.requested_at),
            "now": erasure.requested_at,
            "due_at": erasure.due_at,
            "secret_hash": erasure.secret_hash,
            "secret_sealed": erasure.secret_sealed,
        }
        await self._database.run(_PLAN, values)

    async def of_user(self, user_id: uuid.UUID) -> Erasure | None:
        """The newest of a person."""
        return _erasure(await self._database.row(_OF_USER, {"of_user": user_id}))

    async def by_id(self, erasure_id: uuid.UUID) -> Erasure | None:
        """One, whosever it is."""
        return _erasure(await self._database.row(_BY_ID, {"of_erasure": erasure_id}))

    async def cancel(self, erasure: Erasure, now: datetime) -> bool:
        """Cancels what is planned, and tells its person; false where it has begun."""
        values = _key(erasure.user_id, erasure.erasure_id) | {
            "before": State.PLANNED.value,
            **letters.values(Letter(Kind.ERASURE_CANCELLED, erasure.user_id), now),
        }
        return await self._database.run(_CANCEL, values) == 1

    async def due(self, now: datetime, most: int) -> list[Erasure]:
        """What there is something to do of."""
        rows = await self._database.rows(_DUE, {"now": now, "most": most})
        return [found for row in rows if (found := _erasure(row)) is not None]

    async def begin(self, erasure: Erasure, event: outbox.Message, now: datetime) -> bool:
        """The point of no return: nothing is written of him any more, and everybody is told.

        False where it was cancelled at the last instant, or begun by another.
        """
        key = _key(erasure.user_id, erasure.erasure_id)
        begun = False
        async with self._database.transaction() as session:
            values = key | {"before": State.PLANNED.value, "now": now}
            if await session.run(_BEGIN, values) != 1:
                raise Undo
            await session.run(MARK, key)
            await session.run(_TELL, {**key, **outbox.values(event)})
            begun = True
        return begun  # noqa: RET504 - Undo leaves the block with it still false

    async def steps(self, erasure: Erasure) -> list[Step]:
        """What services said so far."""
        rows = await self._database.rows(_STEPS, _key(erasure.user_id, erasure.erasure_id))
        return [Step(*row) for row in rows]

    async def say(self, erasure: Erasure, step: Step) -> None:
        """Keeps what a service said."""
        values = _key(erasure.user_id, erasure.erasure_id) | {
            "look": step.look,
            "of_service": step.service,
            "erased": step.erased,
            "attempts": step.attempts,
            "next_at": step.next_at,
            "done_at": step.done_at,
        }
        await self._database.run(_SAY, values)

    async def move(
        self, erasure: Erasure, state: State, certificate: str, now: datetime, next_at: datetime
    ) -> bool:
        """Every service said that nothing is left; false where another was faster."""
        values = _key(erasure.user_id, erasure.erasure_id) | {
            "before": erasure.state.value,
            "after": state.value,
            "certificate": certificate,
            "now": now,
            "next_at": next_at,
            "finished_at": now if state is State.DONE else None,
        }
        return await self._database.run(_MOVE, values) == 1

    async def unknown(self, names: Sequence[str]) -> list[str]:
        """Those of some tombstones of whose people the database does not know."""
        known = await self._database.rows(_KNOWN, {"names": list(names)})
        return sorted(set(names) - {name for (name,) in known})

    async def erase_again(self, stone: Tombstone, now: datetime) -> None:
        """Somebody is back who was erased: it is begun anew, under the certificate he has."""
        key = _key(stone.user_id, stone.erasure_id)
        async with self._database.transaction() as session:
            await session.run(_DROP_STEPS, key)
            await session.run(_DROP_OTHERS, key)
            values = key | {"now": now, "secret_hash": stone.secret_hash}
            if await session.run(_REVIVED, values) != 1:
                await session.run(_BACK_TO_BEGUN, values)
            await session.run(MARK, key)

    async def erased(self, after: uuid.UUID, most: int) -> list[uuid.UUID]:
        """Everybody who was erased, page by page."""
        rows = await self._database.rows(_ERASED, {"after": after, "most": most})
        return [user for (user,) in rows]


def _key(user_id: uuid.UUID, erasure_id: uuid.UUID) -> dict[str, Any]:
    return {"of_user": user_id, "of_erasure": erasure_id}


def _erasure(row: tuple[Any, ...] | None) -> Erasure | None:
    if row is None:
        return None
    user_id, erasure_id, state, *rest = row
    return Erasure(user_id, erasure_id, State(state), *rest)
