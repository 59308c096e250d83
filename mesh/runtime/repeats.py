"""What a repeat of a STORED call finds: the hash of the request, and what it led to.

Owns who repeats what, and what is kept of it for a day. The answer is never kept: a repeat
gets it made anew from the reference. Kept is what took effect; a refused call leaves
nothing, and its repeat is decided again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import CTE, ColumnElement, Date, Insert, bindparam, cast, func, insert, select, text
from sqlalchemy.dialects.postgresql import BYTEA

from mesh.runtime.calls import Call
from mesh.runtime.errors import MeshError, Unavailable
from mesh.runtime.ids import uuid7
from mesh.runtime.sql import Conflict, Database, Statement
from mesh.runtime.tables import REPEATS

Run = Callable[[Any, Call], Awaitable[Any]]
Again = Callable[[str, Call], Awaitable[Any]]
"""Makes the answer of an earlier call anew, from its reference."""

# For these minutes of a day what is written is written to the day before as well. No call
# lives as long: whoever began before midnight and has not committed meets it there.
_OVERLAP = text("interval '2 minutes'")


@dataclass(slots=True)
class Intent:
    """One call that is to take effect once."""

    key: bytes
    """32 bytes: who calls which method, with which request id."""
    body: bytes
    """32 bytes: what was asked."""
    is_written: bool = False


_intent: ContextVar[Intent] = ContextVar("palestra_repeat")


def intent_of(request: Message, call: Call) -> Intent:
    """The intent of a call; one without any id is nobody's repeat."""
    asked: Any = type(request)()
    asked.CopyFrom(request)
    request_id = asked.request_id or call.request_id or str(uuid7())
    asked.ClearField("request_id")
    key = hashlib.sha256(f"{call.actor}\0{call.method}\0{request_id}".encode()).digest()
    # With the key before it, like bodies of different calls do not look alike.
    return Intent(key, hashlib.sha256(key + asked.SerializeToString(deterministic=True)).digest())


def remembering(change: CTE, reference: ColumnElement[str]) -> Insert:
    """An insert that makes each row of `change` the one effect of the current call.

    `reference` names what the call led to. Where a call with the same id commits at the
    same instant, the whole statement is undone. The statement's values come from `values()`.
    """
    today = cast(func.timezone("UTC", func.now()), Date)
    since = cast(func.timezone("UTC", func.now() - _OVERLAP), Date)
    days = (
        func.generate_series(since, today, text("interval '1 day'"))
        .table_valued("day")
        .render_derived()
    )
    # In the order of days, so that two calls never wait for each other.
    row = (
        select(
            bindparam("repeat_key", type_=BYTEA),
            cast(days.c.day, Date),
            bindparam("repeat_body", type_=BYTEA),
            reference,
        )
        .select_from(change)
        .join(days, text("true"))
        .order_by(days.c.day)
    )
    return insert(REPEATS).from_select(["key", "day", "body", "reference"], row)


def values() -> Mapping[str, Any]:
    """The bind values of `remembering` for the current call.

    Raises:
        LookupError: the current method is not REPEAT_STORED.
    """
    intent = _intent.get()
    intent.is_written = True
    return {"repeat_key": intent.key, "repeat_body": intent.body}


_FIND = Statement(
    select(REPEATS.c.body, REPEATS.c.reference)
    .where(REPEATS.c.key == bindparam("repeat_key", type_=BYTEA))
    .limit(1)
)


class Repeats:
    """Lets each call of a STORED method take effect once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def once(self, run: Run, again: Again) -> Run:
        """`run`, but `again` where the same call took effect before.

        Raises, when called:
            MeshError: REQUEST_ID_REUSED where the id was used for another request.
        """

        async def handle(request: Message, call: Call) -> Any:
            intent = intent_of(request, call)
            reference = await self._find(intent)
            if reference is None:
                try:
                    return await _run(run, request, call, intent)
                except Exception as error:
                    # Whatever refused it: perhaps its own twin was faster.
                    reference = await self._find(intent)
                    if reference is None:
                        raise _meaning(error) from error
            return await again(reference, call)

        return handle

    async def _find(self, intent: Intent) -> str | None:
        row = await self._database.row(_FIND, {"repeat_key": intent.key})
        if row is None:
            return None
        body, reference = row
        if bytes(body) != intent.body:
            raise MeshError(
                "REQUEST_ID_REUSED",
                violations=[("request_id", "it was used for another request")],
            )
        return str(reference)


async def _run(run: Run, request: Message, call: Call, intent: Intent) -> Any:
    token = _intent.set(intent)
    try:
        response = await run(request, call)
    finally:
        _intent.reset(token)
    if not intent.is_written:
        raise LookupError(f"{call.method} is REPEAT_STORED, but its store remembers nothing")
    return response


def _meaning(error: Exception) -> Exception:
    """A twin that held the place and then gave up leaves a call that may be sent again."""
    if isinstance(error, Conflict) and error.constraint.startswith(REPEATS.name):
        return Unavailable("the same call was under way, and failed")
    return error
