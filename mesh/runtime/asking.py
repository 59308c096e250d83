"""A connection that asks prepared statements with no more between than libpq needs.

Owns one statement's way: values adapted, sent, waited for, the answer as libpq has it.
psycopg makes a cursor for each, and tells the event loop anew each time that it waits:
two thirds of what asking costs a process. Transactions, closing and giving up stay psycopg's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection, abc, errors
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

Row: TypeAlias = tuple[Any, ...]
Found = TypeVar("Found")
MOST_PREPARED: Final = 100
"""Statements that a backend keeps for one connection; the longest unused goes."""
GIVES_UP_S: Final = 1.0
"""So long PostgreSQL may take to end what nobody waits for any more, before it is told again."""
GIVES_UP_TRIES: Final = 5
"""It does not hear of it while it still reads the statement: a large one, on a busy machine."""


class Connection(AsyncConnection[Row]):
    """One backend of PostgreSQL. Who has it asks one thing after the other."""

    def __init__(self, pgconn: PGconn, *args: Any, **kwargs: Any) -> None:
        super().__init__(pgconn, *args, **kwargs)
        self._prepared_as: OrderedDict[tuple[bytes, tuple[int, ...]], bytes] = OrderedDict()
        self._named = 0
        self._adapting: abc.Transformer | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._watched: tuple[asyncio.AbstractEventLoop, int] | None = None

    async def ask(
        self, query: bytes, values: Sequence[Any], formats: Sequence[PyFormat]
    ) -> PGresult:
        """The answer to a statement with `$1`, `$2` … for its values; its columns are binary.

        Raises:
            psycopg.DataError: a value cannot be written for PostgreSQL.
            psycopg.DatabaseError: PostgreSQL refused it.
            psycopg.OperationalError: the connection broke, or was broken.
        """
        adapting = self._transformer()
        written = adapting.dump_sequence(values, formats)
        kind = (query, adapting.types or ())
        name = self._prepared_as.get(kind)
        if name is None:
            name = await self._prepare(*kind)
        else:
            self._prepared_as.move_to_end(kind)
        self.pgconn.send_query_prepared(name, written, adapting.formats, Format.BINARY)
        try:
            return await self._answered()
        except (errors.FeatureNotSupported, errors.InvalidSqlStatementName):
            # A table has become another since, or somebody forgot it there.
            self._prepared_as.pop(kind, None)
            raise

    async def _prepare(self, query: bytes, types: tuple[int, ...]) -> bytes:
        self._named += 1
        name = b"mesh_%d" % self._named
        self.pgconn.send_prepare(name, query, types)
        await self._answered()
        self._prepared_as[query, types] = name
        if len(self._prepared_as) > MOST_PREPARED:
            _, oldest = self._prepared_as.popitem(last=False)
            self.pgconn.send_query_params(b"DEALLOCATE " + oldest, None)
            await self._answered()
        return name

    async def _answered(self) -> PGresult:
        """What comes back of what was sent; looked at here, an error is raised."""
        try:
            if self.pgconn.flush():
                # More than the socket takes at once.
                await self.wait(_flushed(self.pgconn))
            answer = await self._last_result()
        except asyncio.CancelledError:
            self.unwatch()
            await self._give_up()
            raise
        except BaseException:
            # A socket that libpq has closed is no longer ours to watch.
            self.unwatch()
            raise
        if answer.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            # It may have been the last that PostgreSQL says here.
            self.unwatch()
            raise errors.error_from_result(answer)
        return answer

    async def _last_result(self) -> PGresult:
        pgconn = self.pgconn
        last: PGresult | None = None
        while True:
            try:
                while pgconn.is_busy():
                    await self._readable()
                    pgconn.consume_input()
            except psycopg.OperationalError:
                # What PostgreSQL said before it hung up says more.
                if last is not None and last.status == ExecStatus.FATAL_ERROR:
                    return last
                raise
            result = pgconn.get_result()
            if result is None:
                if last is None:
                    raise psycopg.OperationalError("the connection is lost")
                return last
            last = result

    async def _readable(self) -> None:
        if self._watched is None:
            loop, socket = asyncio.get_running_loop(), self.pgconn.socket
            loop.add_reader(socket, self._wake)
            self._watched = loop, socket
        else:
            loop, _ = self._watched
        self._waiting = loop.create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is None:
            # Nobody asked: PostgreSQL says something by itself, or hangs up. Whoever asks
            # next finds out; until then the loop would call this for ever.
            self.unwatch()
        elif not self._waiting.done():
            self._waiting.set_result(None)

    def unwatch(self) -> None:
        """Lets go of the socket: before it is closed, or somebody else waits for it."""
        if self._watched is not None:
            loop, socket = self._watched
            self._watched = None
            loop.remove_reader(socket)

    async def _give_up(self) -> None:
        """Ends what is under way; what cannot be ended the pool closes."""
        for _ in range(GIVES_UP_TRIES):
            with contextlib.suppress(psycopg.Error):
                await self.cancel_safe(timeout=GIVES_UP_S)
                await self.wait(_drained(self.pgconn), timeout=GIVES_UP_S)
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                return

    async def wait(self, gen: PQGen[Found], *args: Any, **kwargs: Any) -> Found:
        """As psycopg does it, which watches the socket by itself."""
        self.unwatch()
        return await super().wait(gen, *args, **kwargs)

    async def close(self) -> None:
        """Ends the backend."""
        self.unwatch()
        await super().close()

    def break_off(self) -> None:
        """Ends the backend at once, whatever it does."""
        self.unwatch()
        self.pgconn.finish()

    def rows_of(self, answer: PGresult) -> list[Row]:
        """All rows of an answer of this connection's."""
        return self._reading(answer).load_rows(0, answer.ntuples, tuple)

    def first_of(self, answer: PGresult) -> Row | None:
        """The first row of an answer of this connection's, None where there is none."""
        return self._reading(answer).load_row(0, tuple) if answer.ntuples else None

    def _reading(self, answer: PGresult) -> abc.Transformer:
        adapting = self._transformer()
        adapting.set_pgresult(answer)
        return adapting

    def _transformer(self) -> abc.Transformer:
        """One for all that is asked: making it is a tenth of asking."""
        if self._adapting is None:
            self._adapting = Transformer(self)
        return self._adapting


def _flushed(pgconn: PGconn) -> PQGen[None]:
    while pgconn.flush():
        ready = yield Wait.RW
        # PostgreSQL may wait for us to read before it takes more. Of whoever gives up
        # psycopg goes on with this from where it was, and then nothing is ready yet.
        if ready and ready & Ready.R:
            pgconn.consume_input()


def _drained(pgconn: PGconn) -> PQGen[None]:
    while True:
        while pgconn.is_busy():
            if (yield Wait.R):
                pgconn.consume_input()
        if pgconn.get_result() is None:
            return
