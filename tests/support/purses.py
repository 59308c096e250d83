"""Purses that can be spent from: a method that takes effect once only because repeats are stored.

The tables are the tests' own; request and answer are messages of the contract that fit.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import psycopg
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    insert,
    select,
    update,
)

from mesh.runtime import Call
from mesh.runtime.calls import User
from mesh.runtime.repeats import remembering, values
from mesh.runtime.sql import Database, Statement
from palestra.integration.v1.device_service_pb2 import (
    Device,
    RegisterDeviceRequest,
    RegisterDeviceResponse,
)

_METADATA = MetaData()
PURSES = Table(
    "purses", _METADATA, Column("owner", Text, primary_key=True), Column("points", Integer)
)
SPENDINGS = Table(
    "spendings", _METADATA, Column("id", Uuid, primary_key=True), Column("owner", Text)
)
PRICE = 10
TABLES = (
    "CREATE TABLE purses (owner text PRIMARY KEY, points integer NOT NULL)",
    "CREATE TABLE spendings (id uuid PRIMARY KEY, owner text NOT NULL)",
)
_paid = (
    update(PURSES)
    .where(PURSES.c.owner == bindparam("of_owner"), PURSES.c.points >= PRICE)
    .values(points=PURSES.c.points - PRICE)
    .returning(PURSES.c.owner)
    .cte("paid")
)
_spent = (
    insert(SPENDINGS)
    .from_select(["id", "owner"], select(bindparam("id", type_=Uuid()), _paid.c.owner))
    .returning(SPENDINGS.c.id.cast(Text).label("reference"))
    .cte("spent")
)
SPEND = Statement(remembering(_spent, _spent.c.reference))
_FILL = Statement(insert(PURSES).values(owner=bindparam("owner"), points=bindparam("points")))
_LEFT = Statement(select(PURSES.c.points).where(PURSES.c.owner == bindparam("of_owner")))
_SPENDINGS = Statement(
    select(SPENDINGS.c.id.cast(Text)).where(SPENDINGS.c.owner == bindparam("of_owner"))
)


class PurseEmpty(Exception):
    """There is less in the purse than the price."""

    reason: ClassVar[str] = "PURSE_EMPTY"


class Purses:
    """What a servicer with a REPEAT_STORED method has: the method, and its answer again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fill(self, call: Call, points: int) -> None:
        """Gives the caller a purse."""
        await self._database.run(_FILL, {"owner": call.actor, "points": points})

    async def left(self, call: Call) -> int:
        """The points in the caller's purse."""
        row = await self._database.row(_LEFT, {"of_owner": call.actor})
        return int(row[0]) if row else 0

    async def spendings(self, call: Call) -> list[str]:
        """The ids of what the caller spent."""
        return [row[0] for row in await self._database.rows(_SPENDINGS, {"of_owner": call.actor})]

    async def spend(self, request: RegisterDeviceRequest, call: Call) -> Any:
        """Takes the price from the caller's purse; what for, does not matter here."""
        spending = uuid.uuid4()
        bound = {"of_owner": call.actor, "id": spending, **values()}
        if await self._database.run(SPEND, bound) == 0:
            raise PurseEmpty
        return await self.spend_again(str(spending), call)

    async def spend_again(self, reference: str, call: Call) -> Any:
        """The answer, from the spending's id."""
        return RegisterDeviceResponse(device=Device(name=f"{call.actor}/spendings/{reference}"))


async def make_tables(url: str) -> None:
    """Makes the tests' tables."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in TABLES:
            await connection.execute(statement)


def someone() -> Call:
    """A call of a person of his own."""
    user = User(uuid.uuid4(), "s", frozenset(), frozenset(), "", "app", 0, 2**31)
    return Call(method="/palestra.rewards.v1.PurseService/Spend", caller="edge", user=user)


def asking(request_id: str, what: str = "a hat") -> RegisterDeviceRequest:
    """A request to spend."""
    return RegisterDeviceRequest(request_id=request_id, device=Device(display_name=what))
