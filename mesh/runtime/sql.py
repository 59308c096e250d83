"""SQL: Core statements compiled once each, asked on a pool of psycopg's.

Owns connections, transactions and the meaning of driver errors. The pool is in
autocommit: what must be one change is one statement, or a `transaction()`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq.abc import PGresult
from psycopg.types.array import ListBinaryDumper
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.elements import ClauseElement

from mesh.runtime import asking
from mesh.runtime.asking import Connection
from mesh.runtime.connections import Connections
from mesh.runtime.errors import MeshError, Unavailable

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT: Final = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_PLACE: Final = re.compile(r"%\(([^)]+)\)s|%%")
_CHANGES: Final = re.compile(rb"\b(?:INSERT INTO|UPDATE|DELETE FROM|MERGE INTO)\b")
Row: TypeAlias = asking.Row
Found = TypeVar("Found")
WAIT_FOR_CONNECTION_S = 2.0
BY_INDEX: Final = (
    "-c enable_seqscan=off -c enable_mergejoin=off -c enable_hashjoin=off -c enable_material=off "
    "-c plan_cache_mode=force_generic_plan"
)
"""Statements here ask by a key. A plan that was made for a table while it was small, and reads
all of it, would be kept when it is large: until it is analysed again, a batch of samples costs
ten times as much. A hash of all its rows, or a copy of them, is such a plan, even if an index
is what it is read by. What has no index to go by is read whole all the same. One plan for all
values, from the first time on: PostgreSQL would make one anew for the values of the first five
calls, and for those of every call where it hopes for less, which costs more than most answers."""


Undo = psycopg.Rollback
"""Raised inside `transaction()`, it takes the changes back and goes no further."""


class Conflict(Exception):
    """A unique or foreign key refused the change; says which constraint."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class Statement:
    """A Core statement, compiled once. Parameters go by the names of its bind parameters."""

    _MADE = ("defaults", "formats", "order", "query", "reads")
    __slots__ = ("_clause", *_MADE)
    query: bytes
    """With `$1`, `$2` … for its parameters."""
    order: tuple[str, ...]
    """Their names."""
    formats: Sequence[PyFormat]
    defaults: Mapping[str, Any]
    reads: bool
    """Whether it only reads, so that it may be asked again where nobody knows if it was done."""

    def __init__(self, clause: ClauseElement) -> None:
        self._clause = clause

    def __getattr__(self, name: str) -> Any:
        # Asked only while a slot is empty. Compiled when it is used first: a start that
        # compiles all 272 of identity's costs a tenth of a second more.
        if name not in self._MADE:
            raise AttributeError(name)
        compiled = cast("SQLCompiler", self._clause.compile(dialect=_DIALECT))
        text, defaults = str(compiled), {}
        for bind, value in compiled.params.items():
            if value is None:
                continue
            # Written in, they cost nothing to send, and a plan that is kept for all values can
            # go by an index of some rows only.
            written = _written(value) if compiled.binds[bind].unique else ""
            if written:
                text = text.replace(f"%({bind})s", written)
            else:
                defaults[bind] = value
        self.defaults = defaults
        numbers: dict[str, int] = {}
        self.query = _PLACE.sub(lambda found: _numbered(found, numbers), text).encode()
        self.order, self.formats = tuple(numbers), [PyFormat.AUTO] * len(numbers)
        # A SELECT, too, changes what the CTEs in it change.
        self.reads = _CHANGES.search(self.query) is None
        return getattr(self, name)

    def parameters(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """`values`, completed with the literals that the statement itself holds."""
        return {**self.defaults, **values} if self.defaults else values


def _numbered(place: re.Match[str], numbers: dict[str, int]) -> str:
    name = place[1]
    return f"${numbers.setdefault(name, len(numbers) + 1)}" if name else "%"


def _written(value: object) -> str:
    """A literal of a statement as SQL; empty where it goes as a parameter."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"({int(value)})" if value < 0 else str(int(value))
    if isinstance(value, str) and "\\" not in value:
        return "'{}'".format(value.replace("'", "''").replace("%", "%%"))
    return ""


class Listing:
    """A result of many rows, of which little is looked at: values are made when asked for."""

    __slots__ = ("_connection", "_result")

    def __init__(self, result: PGresult, connection: Connection) -> None:
        self._result, self._connection = result, connection

    def __len__(self) -> int:
        return self._result.ntuples

    def raw(self, column: int) -> list[bytes | None]:
        """A column by its number, as PostgreSQL sends it: `bytea` as it is, `boolean` as a byte."""
        value = self._result.get_value
        return [value(row, column) for row in range(self._result.ntuples)]

    def row(self, index: int) -> Row:
        """One row, whole.

        Raises:
            IndexError: there is none of this number.
        """
        # The connection is somebody else's by now, but for how values are read.
        reading = Transformer(self._connection)
        reading.set_pgresult(self._result)
        try:
            return reading.load_row(index, tuple)
        except psycopg.InterfaceError:
            raise IndexError(index) from None


class Session:
    """Runs statements on one connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Makes what follows one change."""
        return self._connection.transaction()

    async def _ask(self, statement: Statement, values: Mapping[str, Any]) -> PGresult:
        given = statement.parameters(values)
        try:
            return await self._connection.ask(
                statement.query, [given[name] for name in statement.order], statement.formats
            )
        except psycopg.DatabaseError as error:
            raise _meaning(error) from error

    async def row(self, statement: Statement, values: Mapping[str, Any]) -> Row | None:
        """The first row, None where there is none."""
        return self._connection.first_of(await self._ask(statement, values))

    async def rows(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """All rows."""
        return self._connection.rows_of(await self._ask(statement, values))

    async def listing(self, statement: Statement, values: Mapping[str, Any]) -> Listing:
        """All rows, as they came."""
        return Listing(await self._ask(statement, values), self._connection)

    async def run(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Runs a change; answers how many rows it touched."""
        return (await self._ask(statement, values)).command_tuples or 0

    async def run_many(self, statement: Statement, values: Iterable[Mapping[str, Any]]) -> None:
        """Runs a change once for each set of values."""
        for each in values:
            await self._ask(statement, each)


def _meaning(error: psycopg.DatabaseError) -> Exception:
    """What a driver's error means to a store; itself where it means nothing to anyone."""
    if isinstance(error, psycopg.errors.IntegrityError):
        return Conflict(error.diag.constraint_name or "")
    if isinstance(error, psycopg.DataError) and error.sqlstate is None and "NUL" in str(error):
        return MeshError("INVALID_FIELD", "a text holds the character U+0000")
    return error


async def _configure(connection: Connection) -> None:
    """Lists go as binary: as text, each byte of a `bytea[]` would be written as three."""
    connection.adapters.register_dumper(list, ListBinaryDumper)


class Database:
    """A service's own schema, through a bounded pool."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        application: str = "palestra",
        wait_s: float = WAIT_FOR_CONNECTION_S,
    ) -> None:
        self.url = url
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=Connection,
            min_size=1,
            max_size=pool_size,
            timeout=wait_s,
            reconnect_timeout=30,
            open=False,
            configure=_configure,
            kwargs={
                "autocommit": True,
                # What is prepared `asking` knows; psycopg forgets all of it at each rollback.
                "prepare_threshold": None,
                "application_name": application,
                "options": BY_INDEX,
            },
        )
        self._connections = Connections(self._pool)

    async def open(self) -> None:
        """Opens the pool; connections come as they are needed."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Closes every connection."""
        await self._connections.close()
        await self._pool.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection in autocommit.

        Raises:
            Unavailable: the database does not answer, or the connection broke.
        """
        connection = await self._taken()
        try:
            yield Session(connection)
        except psycopg.OperationalError as error:
            raise Unavailable("the database does not answer") from error
        finally:
            await self._connections.give(connection)

    async def _taken(self) -> Connection:
        try:
            return await self._connections.take()
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise Unavailable("the database does not answer") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Several statements that become durable together, or not at all."""
        async with self.session() as session, session.transaction():
            yield session

    async def row(self, statement: Statement, values: Mapping[str, Any]) -> Row | None:
        """The first row, None where there is none."""
        return await self._ask(Session.row, statement, values)

    async def rows(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """All rows."""
        return await self._ask(Session.rows, statement, values)

    async def listing(self, statement: Statement, values: Mapping[str, Any]) -> Listing:
        """All rows, as they came."""
        return await self._ask(Session.listing, statement, values)

    async def _ask(
        self,
        ask: Callable[[Session, Statement, Mapping[str, Any]], Awaitable[Found]],
        statement: Statement,
        values: Mapping[str, Any],
    ) -> Found:
        try:
            return await self._alone(ask, statement, values)
        except Unavailable:
            # A pooled connection may have died since its last use; what only reads
            # may simply be asked again.
            if not statement.reads:
                raise
        return await self._alone(ask, statement, values)

    async def _alone(
        self,
        ask: Callable[[Session, Statement, Mapping[str, Any]], Awaitable[Found]],
        statement: Statement,
        values: Mapping[str, Any],
    ) -> Found:
        """As `session` does it, for the one statement that most requests are."""
        connection = await self._taken()
        try:
            return await ask(Session(connection), statement, values)
        except psycopg.OperationalError as error:
            raise Unavailable("the database does not answer") from error
        finally:
            await self._connections.give(connection)

    async def run(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Runs a change; answers how many rows it touched."""
        return await self._alone(Session.run, statement, values)
