"""Drops rows whose time is over, as it is said beside their tables.

In batches, so that no lock is held for long; whoever is killed leaves the rest to the next
turn. What a capability drops itself, with its files or in its own order, is left to its job.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import structlog
from sqlalchemy import DateTime, Integer, Table, bindparam, delete, select, text, tuple_

from mesh.runtime.clock import Clock
from mesh.runtime.kept import For, rules_of
from mesh.runtime.sql import Database, Statement

EVERY_S: Final = 3600.0
ROWS_AT_ONCE: Final = 1_000
MOST_BATCHES: Final = 1_000
"""Of one table in one turn: a million rows."""
_log = structlog.get_logger(__name__)


class Retention:
    """The rules of a service's tables, kept."""

    def __init__(self, database: Database, tables: Iterable[Table], clock: Clock) -> None:
        self._database = database
        self._tables = tuple(tables)
        self._clock = clock

    async def turn(self) -> None:
        """Drops all that is over; of a table that cannot be, the others are not kept waiting."""
        for table, rule, statement in self._drops:
            try:
                await self._drop(rule, statement)
            except Exception:
                _log.exception("retention_failed", table=table)

    async def _drop(self, rule: For, statement: Statement) -> None:
        before = self._clock() - rule.time
        for _ in range(MOST_BATCHES):
            values = {"before": before, "most": ROWS_AT_ONCE}
            if await self._database.run(statement, values) < ROWS_AT_ONCE:
                return

    @cached_property
    def _drops(self) -> Sequence[tuple[str, For, Statement]]:
        return [
            (table.name, rule, _dropping(table, rule))
            for table in self._tables
            for rule in rules_of(table)
            if isinstance(rule, For) and not rule.by
        ]


def _dropping(table: Table, rule: For) -> Statement:
    key, since = list(table.primary_key.columns), table.c[rule.since]
    before: Any = bindparam("before", type_=DateTime(timezone=True))
    over = (
        select(*key)
        .where(since < before, *((text(rule.where),) if rule.where else ()))
        .order_by(since)
        .limit(bindparam("most", type_=Integer))
        # Two that drop at once share the rows between them.
        .with_for_update(skip_locked=True)
    )
    return Statement(delete(table).where(tuple_(*key).in_(over)))
