"""What a request asks of the database goes by an index, by the plan that serves all values.

The tables are empty and no statistics are known, as on the first day; or they were analysed
while they were small, as whenever a plan is older than what a table has become.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest

from mesh import catalog
from mesh.runtime import migrate
from mesh.runtime.sql import BY_INDEX
from tests.support.statements import statements_of
from tests.support.stores import Stores

BY_THE_CLOCK = {
    "services.identity.addresses.store._PURGE",
    "services.identity.blocks.store._SETTLE",
    "services.identity.clients.store._ENDED",
    "services.identity.clients.store._FORGET",
    "services.identity.clients.store._SUSPENDED",
    "services.identity.codes.store._PURGE",
    "services.identity.exports.store._LEFT",
    "services.identity.exports.store._UNDER_WAY",
    "services.identity.goals.store._FORGET",
    "services.identity.letters.store._NEXT",
    "services.identity.letters.store._PURGE",
    "services.identity.oauth.store._FORGET_BROWSERS",
    "services.identity.oauth.store._FORGET_CODES",
    "services.identity.oauth.store._FORGET_GRANTS",
    "services.identity.relations.statements.FORGET",
    "services.identity.revocations.store._FORGET",
    "services.identity.sso.store._FORGET_ATTEMPTS",
    "services.identity.sso.store._FORGET_LOGOUTS",
    "services.identity.sso.store._FORGET_SESSIONS",
    "services.identity.zones.store._FORGET",
    "services.integration.devices.store._FORGET",
    "mesh.runtime.relations.copying._BEHIND",
    "mesh.runtime.relations.copying._FORGET_ALL",
    "mesh.runtime.relations.copying._SETTLE",
}
"""Jobs look for what is due, some at a time; nobody waits for them."""
OF_FEW_ROWS = {
    "services.identity.certificates.store._ADD",
    "services.identity.certificates.store._KEYS",
    "services.identity.keys.store._ALL",
    "services.identity.relations.statements.BEATS",
    "mesh.runtime.relations.copying._CLOSE",
    "mesh.runtime.relations.copying._DONE",
    "mesh.runtime.relations.copying._GO_ON",
    "mesh.runtime.relations.copying._PEOPLE",
    "mesh.runtime.relations.copying._PLACE",
    "mesh.runtime.relations.copying._STATE",
}
"""A row for each key, or each service."""


def _read_whole(node: Mapping[str, Any]) -> Iterator[str]:
    kind = node["Node Type"]
    by_key = "Index Cond" in node or "Order By" in node
    if kind == "Seq Scan" or (kind.endswith("Index Scan") and not by_key):
        yield str(node.get("Relation Name") or node["Index Name"])
    for each in node.get("Plans", ()):
        yield from _read_whole(each)


def _of_service(service: str, stores: Stores) -> str:
    url = stores.database_url(service)
    found = importlib.import_module(f"services.{service}.service").SERVICE
    migrate.migrate(url, found.migrations)
    return url


def _readers(connection: psycopg.Connection, service: str) -> dict[str, list[str]]:
    """What each statement reads whole, by its name."""
    whole: dict[str, list[str]] = {}
    tables = {name for (name,) in connection.execute("SELECT relname FROM pg_class").fetchall()}
    for name, statement in statements_of(service):
        if name.startswith("mesh.runtime.relations.") and "relations_feeds" not in tables:
            continue
        explained = connection.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + statement.query)
        (plan,) = explained.fetchone() or ([],)
        if read := sorted(set(_read_whole(plan[0]["Plan"]))):
            whole[name] = read
    return whole


@pytest.mark.parametrize("service", [each.name for each in catalog.SERVICES])
def test_what_a_request_asks_goes_by_an_index(service: str, stores: Stores) -> None:
    url = _of_service(service, stores)
    with psycopg.connect(url, autocommit=True, options=BY_INDEX) as connection:
        whole = _readers(connection, service)
    assert {name: read for name, read in whole.items() if name not in _ALLOWED} == {}


_CHECKS = """SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', conrelid::regclass, conname)
    FROM pg_constraint WHERE contype = 'c' AND connamespace = current_schema()::regnamespace"""
_COLUMNS = """SELECT table_name, array_agg(column_name::text), array_agg(udt_name::text)
    FROM information_schema.columns
    JOIN pg_class ON pg_class.oid = table_name::regclass AND relkind = 'r' AND NOT relispartition
    WHERE table_schema = current_schema() AND is_identity = 'NO' AND is_generated = 'NEVER'
    GROUP BY table_name"""
_VALUES = {
    "uuid": "gen_random_uuid()",
    "int2": "n",
    "int4": "n",
    "int8": "n",
    "bool": "false",
    "bytea": "int4send(n)",
    "text": "n::text",
    "varchar": "n::text",
    "date": "current_date + n",
    "timestamptz": "now()",
    "jsonb": "'{}'",
}


def _without_checks(connection: psycopg.Connection) -> None:
    for (dropping,) in connection.execute(_CHECKS).fetchall():
        connection.execute(dropping)


def _fill(connection: psycopg.Connection, rows: int) -> None:
    for table, columns, types in connection.execute(_COLUMNS).fetchall():
        values = ", ".join(_VALUES[each] for each in types)
        connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) "
            f"SELECT {values} FROM generate_series(1, {rows}) n ON CONFLICT DO NOTHING"
        )
    connection.execute("ANALYZE")


@pytest.mark.parametrize("rows", [3, 60])
@pytest.mark.parametrize("service", ["integration", "training"])
def test_it_does_after_its_tables_were_analysed_while_small(
    service: str, rows: int, stores: Stores
) -> None:
    """Identity's tables hang together by keys and checks: what fits them is its own flows'."""
    url = _of_service(service, stores)
    with psycopg.connect(url, autocommit=True, options=BY_INDEX) as connection:
        _without_checks(connection)
        _fill(connection, rows)
        whole = _readers(connection, service)
    assert {name: read for name, read in whole.items() if name not in _ALLOWED} == {}


_ALLOWED = BY_THE_CLOCK | OF_FEW_ROWS


def test_every_exception_is_a_statement() -> None:
    names = {name for each in catalog.SERVICES for name, _ in statements_of(each.name)}
    assert names >= _ALLOWED
