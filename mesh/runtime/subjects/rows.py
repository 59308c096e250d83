"""The rows of a table that are a person's: a line of JSON each, deleted by the thousand.

Every column is given out or has a reason why not: a new column is an error here until
somebody has decided.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    Table,
    Uuid,
    bindparam,
    delete,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)

from mesh.runtime.sql import Session, Statement
from mesh.runtime.subjects.subject import Piece, Reach

PAGE: Final = 100
_user: ColumnElement[uuid.UUID] = bindparam("of_user", type_=Uuid())


@dataclass(frozen=True)
class Rows:
    """The rows of a table in which a column names the person."""

    table: Table
    without: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not given out, each with its reason."""
    shown: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    """How a column's value is told where JSON does not know it; bytes always need it."""
    person: Sequence[str] = ("user_id",)
    """The columns that name the person; a row goes with any of them."""
    mentions: Mapping[str, Any] = field(default_factory=dict)
    """Columns that name him in other people's rows, and what stands there after."""
    file: str = ""
    """`<table>.jsonl` where it is empty."""

    def __post_init__(self) -> None:
        """Refuses a declaration that leaves a column undecided."""
        known = set(self.table.c.keys())
        wrong = {*self.without, *self.shown, *self.person, *self.mentions} - known
        if wrong:
            raise ValueError(f"{self.table.name} has no column {', '.join(sorted(wrong))}")
        for column in self.table.c:
            if isinstance(column.type, LargeBinary) and not (
                column.name in self.without or column.name in self.shown
            ):
                raise ValueError(f"{self.table.name}.{column.name}: shown how, or why not?")

    @property
    def name(self) -> str:
        """The table's."""
        return self.table.name

    @property
    def tables(self) -> frozenset[str]:
        """The one."""
        return frozenset({self.table.name})

    async def export(self, reach: Reach, user: uuid.UUID, after: str) -> AsyncIterator[Piece]:
        """A line of JSON for each row, in the order of the primary key."""
        file = self.file or f"{self.table.name}.jsonl"
        place = self._place(after) if after else None
        while True:
            values: dict[str, Any] = {"of_user": user, "most": PAGE}
            if place is not None:
                values |= {f"after_{name}": each for name, each in place.items()}
            statement = self._after if place is not None else self._first
            rows = await reach.database.rows(statement, values)
            for row in rows:
                told = dict(zip(self.table.c.keys(), row, strict=True))
                place = {column.name: told[column.name] for column in self._key}
                yield Piece(file, self._line(told), _written(list(place.values())))
            if len(rows) < PAGE:
                return

    async def erase(
        self, reach: Reach, session: Session, user: uuid.UUID, most: int
    ) -> Mapping[str, int]:
        """Deletes his rows, and takes his name out of others'."""
        del reach
        values = {"of_user": user, "most": most}
        gone = await session.run(self._erase, values)
        for statement in self._unmention:
            gone += await session.run(statement, values)
        return {self.table.name: gone}

    def _line(self, told: Mapping[str, Any]) -> bytes:
        row = {
            str(name): self.shown[name](value)
            if name in self.shown and value is not None
            else value
            for name, value in told.items()
            if name not in self.without
        }
        return orjson.dumps(row, default=_plain, option=orjson.OPT_UTC_Z) + b"\n"

    def _place(self, after: str) -> dict[str, Any]:
        told = json.loads(after)
        if not isinstance(told, list) or len(told) != len(self._key):
            raise ValueError("no cursor of this table")
        return {
            column.name: _read(column, value) for column, value in zip(self._key, told, strict=True)
        }

    @cached_property
    def _key(self) -> list[Column[Any]]:
        return list(self.table.primary_key.columns)

    @cached_property
    def _his(self) -> ColumnElement[bool]:
        return or_(*(self.table.c[name] == _user for name in self.person))

    def _page(self, *conditions: ColumnElement[bool]) -> Statement:
        return Statement(
            select(*self.table.c)
            .where(self._his, *conditions)
            .order_by(*self._key)
            .limit(bindparam("most", type_=Integer))
        )

    @cached_property
    def _first(self) -> Statement:
        return self._page()

    @cached_property
    def _after(self) -> Statement:
        place = [bindparam(f"after_{column.name}", type_=column.type) for column in self._key]
        return self._page(tuple_(*self._key) > tuple_(*place))

    @cached_property
    def _erase(self) -> Statement:
        return Statement(delete(self.table).where(self._some(self._his)))

    @cached_property
    def _unmention(self) -> list[Statement]:
        return [
            Statement(
                update(self.table)
                .where(self._some(self.table.c[name] == _user))
                .values({name: null() if instead is None else literal(instead)})
            )
            for name, instead in self.mentions.items()
        ]

    def _some(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """A bounded number of rows at a time: no lock is held for long."""
        found = select(*self._key).where(condition).limit(bindparam("most", type_=Integer))
        return tuple_(*self._key).in_(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON; say how it is shown")


def _written(place: Sequence[Any]) -> str:
    return json.dumps([_text(value) for value in place], ensure_ascii=True)


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value


def _read(column: Column[Any], value: Any) -> Any:
    kind = column.type.python_type
    try:
        if kind is bytes:
            return bytes.fromhex(value)
        if kind in (datetime, date):
            return kind.fromisoformat(value)
        return uuid.UUID(value) if kind is uuid.UUID else kind(value)
    except (TypeError, AttributeError) as error:
        raise ValueError("no cursor of this table") from error
