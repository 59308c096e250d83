"""SQL: Core statements compiled once at import, executed on a psycopg pool.

Owns connections, transactions and the meaning of driver errors. The pool is in
autocommit: what must be one change is one statement, or a `transaction()`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.types.array import ListBinaryDumper
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.elements import ClauseElement

from mesh.runtime.errors import MeshError, Unavailable

_DIALECT: Final = PGDialect_psycopg()  # type: ignore[no-untyped-call]
Row = tuple[Any, ...]
WAIT_FOR_CONNECTION_S = 2.0


Undo = psycopg.Rollback
"""Raised inside `transaction()`, it takes the changes back and goes no further."""


class Conflict(Exception):
    """A unique or foreign key refused the change; says which constraint."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class Statement:
    """A Core statement, compiled once. Parameters go by the names of its bind parameters."""

    __slots__ = ("defaults", "reads", "text")

    def __init__(self, clause: ClauseElement) -> None:
        compiled = clause.compile(dialect=_DIALECT)
        self.text = str(compiled).encode()
        self.defaults = {
            name: value for name, value in compiled.params.items() if value is not None
        }
        self.reads = isinstance(clause, Select)

    def parameters(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """`values`, completed with the literals that the statement itself holds."""
        return {**self.defaults, **values} if self.defaults else values


class Session:
    """Runs statements on one connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: AsyncConnection[Row]) -> None:
        self._connection = connection

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Makes what follows one change."""
        return self._connection.transaction()

    async def _execute(
        self, statement: Statement, values: Mapping[str, Any]
    ) -> psycopg.AsyncCursor[Row]:
        try:
            return await self._connection.execute(
                statement.text,
                statement.parameters(values),
                binary=True,
            )
        except psycopg.DatabaseError as error:
            raise _meaning(error) from error

    async def row(self, statement: Statement, values: Mapping[str, Any]) -> Row | None:
        """The first row, None where there is none."""
        return await (await self._execute(statement, values)).fetchone()

    async def rows(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """All rows."""
        return await (await self._execute(statement, values)).fetchall()

    async def run(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Runs a change; answers how many rows it touched."""
        return (await self._execute(statement, values)).rowcount

    async def run_many(self, statement: Statement, values: Sequence[Mapping[str, Any]]) -> None:
        """Runs a change once for each set of values, in one round trip."""
        async with self._connection.cursor() as cursor:
            try:
                await cursor.executemany(
                    statement.text,
                    [statement.parameters(each) for each in values],
                )
            except psycopg.DatabaseError as error:
                raise _meaning(error) from error


def _meaning(error: psycopg.DatabaseError) -> Exception:
    """What a driver's error means to a store; itself where it means nothing to anyone."""
    if isinstance(error, psycopg.errors.IntegrityError):
        return Conflict(error.diag.constraint_name or "")
    if isinstance(error, psycopg.DataError) and error.sqlstate is None and "NUL" in str(error):
        return MeshError("INVALID_FIELD", "a text holds the character U+0000")
    return error


async def _configure(connection: AsyncConnection[Row]) -> None:
    """Lists go as binary: as text, each byte of a `bytea[]` would be written as three."""
    connection.adapters.register_dumper(list, ListBinaryDumper)


class Database:
    """A service's own schema, through a bounded pool."""

    def __init__(self, url: str, *, pool_size: int = 8, application: str = "palestra") -> None:
        self.url = url
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=pool_size,
            timeout=WAIT_FOR_CONNECTION_S,
            reconnect_timeout=30,
            open=False,
            configure=_configure,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 0,
                "application_name": application,
            },
        )

    async def open(self) -> None:
        """Opens the pool; connections come as they are needed."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection in autocommit.

        Raises:
            Unavailable: the database does not answer, or the connection broke.
        """
        try:
            async with self._pool.connection() as connection:
                yield Session(connection)
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise Unavailable("the database does not answer") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Several statements that become durable together, or not at all."""
        async with self.session() as session, session.transaction():
            yield session

    async def row(self, statement: Statement, values: Mapping[str, Any]) -> Row | None:
        """The first row, None where there is none."""
        try:
            async with self.session() as session:
                return await session.row(statement, values)
        except Unavailable:
            # A pooled connection may have died since its last use; what only reads
            # may simply be asked again.
            if not statement.reads:
                raise
        async with self.session() as session:
            return await session.row(statement, values)

    async def rows(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """All rows."""
        try:
            async with self.session() as session:
                return await session.rows(statement, values)
        except Unavailable:
            if not statement.reads:
                raise
        async with self.session() as session:
            return await session.rows(statement, values)

    async def run(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Runs a change; answers how many rows it touched."""
        async with self.session() as session:
            return await session.run(statement, values)
