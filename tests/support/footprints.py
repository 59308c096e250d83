"""What one person has left in every service's tables: rows, and how often they were changed.

Counts, not contents, so that two people who did the same have the same footprint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import psycopg
import redis
from psycopg import sql

from mesh import catalog

Footprint = dict[str, int]
"""By `schema.table` the rows, by `schema.table.version` the sum of their versions."""
_COLUMNS = """
    SELECT c.table_schema, c.table_name, array_agg(c.column_name::text)
    FROM information_schema.columns c
    JOIN pg_class t ON t.oid = format('%%I.%%I', c.table_schema, c.table_name)::regclass
    WHERE c.table_schema = ANY(%s) AND t.relkind IN ('r', 'p') AND NOT t.relispartition
    GROUP BY 1, 2 ORDER BY 1, 2
"""


def of(database: psycopg.Connection[tuple[Any, ...]], user: str) -> Footprint:
    """The footprint of `users/{user}`."""
    schemas = [each.name for each in catalog.SERVICES]
    found: Footprint = {}
    for schema, table, columns in database.execute(_COLUMNS, (schemas,)).fetchall():
        whose = _whose(table, columns)
        if whose is None:
            continue
        versions = sorted(name for name in columns if name == "version")
        counted = [sql.SQL("count(*)"), *(_sum(name) for name in versions)]
        query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            sql.SQL(", ").join(counted), sql.Identifier(schema, table), sql.SQL(whose)
        )
        row = database.execute(query, {"user": user, "id": user.removeprefix("users/")}).fetchone()
        assert row is not None
        names = [f"{schema}.{table}", *(f"{schema}.{table}.{name}" for name in versions)]
        found |= dict(zip(names, map(int, row), strict=True))
    return found


def _sum(column: str) -> sql.Composed:
    return sql.SQL("coalesce(sum({}), 0)").format(sql.Identifier(column))


def _whose(table: str, columns: list[str]) -> str | None:
    """The condition of a person's rows; None where the table has none."""
    if table == "audit_records":
        # One for each call, whatever it did: that is what they are for.
        return None
    if "user_id" in columns:
        return "user_id = %(id)s"
    if "key" in columns and table in ("outbox", "dead_letters"):
        return "key LIKE %(user)s || '%%'"
    return None


def everything(database: psycopg.Connection[tuple[Any, ...]]) -> str:
    """Every row of every service's tables as text; bytes in hexadecimal."""
    schemas = [each.name for each in catalog.SERVICES]
    found = []
    for schema, table, _ in database.execute(_COLUMNS, (schemas,)).fetchall():
        query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, table))
        found += [str(row[0]) for row in database.execute(query).fetchall()]
    return "\n".join(found)


def everything_in_redis(store: redis.Redis) -> str:
    """Every key with its value, as Python prints their bytes; `store` answers with bytes."""
    read: dict[bytes, Callable[[bytes], object]] = {
        b"string": store.get,
        b"stream": store.xrange,
        b"hash": store.hgetall,
        b"set": store.smembers,
        b"list": lambda key: store.lrange(key, 0, -1),
        b"zset": lambda key: store.zrange(key, 0, -1, withscores=True),
    }
    keys: list[bytes] = list(store.scan_iter(count=1000))
    kinds = [(key, cast("bytes", store.type(key))) for key in keys]
    # A key that ended meanwhile is of no kind.
    return "\n".join(f"{key!r} {read[kind](key)!r}" for key, kind in kinds if kind != b"none")
