"""An empty schema is made by one script: what all revisions make, whole or not at all."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import psycopg
import pytest

from mesh.runtime import migrate
from tests.support import first_rows
from tests.support.stores import Stores

SERVICES = ("identity", "integration", "training")
# Everything that a revision can have made, as PostgreSQL itself writes it down.
_MADE = """
    SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
           concat_ws(' ', a.attnotnull, a.attidentity, a.attgenerated, a.attstorage,
                     a.attcompression, a.attstattarget, a.attoptions,
                     pg_get_expr(d.adbin, d.adrelid))
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT a.attisdropped AND a.attnum > 0
    UNION ALL
    SELECT 'relation', relname, relkind::text, coalesce(pg_get_partkeydef(oid), ''),
           concat_ws(' ', reloptions, relacl, relpersistence, relrowsecurity, relreplident)
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'constraint', conname, conrelid::regclass::text, pg_get_constraintdef(oid), ''
    FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'index', indexname, tablename, indexdef, ''
    FROM pg_indexes WHERE schemaname = current_schema()
    UNION ALL
    SELECT 'function', proname, '', pg_get_functiondef(oid), ''
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'trigger', tgname, tgrelid::regclass::text, pg_get_triggerdef(t.oid), ''
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT tgisinternal
    UNION ALL
    SELECT 'statistics', stxname, stxrelid::regclass::text, pg_get_statisticsobjdef(oid), ''
    FROM pg_statistic_ext WHERE stxnamespace = current_schema()::regnamespace
    ORDER BY 1, 2, 3, 4, 5
"""


def made(url: str) -> list[tuple[str, ...]]:
    """All that is in the schema, and what the tables of revisions say."""
    with psycopg.connect(url) as connection:
        found = [tuple(map(str, each)) for each in connection.execute(_MADE)]
        for table in ("runtime_version", "service_version"):
            found += [(table, *each) for each in connection.execute(f"SELECT * FROM {table}")]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_it_makes_what_the_revisions_make_one_after_another(
    stores: Stores, tmp_path: Path, service: str
) -> None:
    url, folder = stores.database_url(service), first_rows.migrations(service)
    first_rows.back_to_first(url, service, tmp_path)
    # From here on they run one by one.
    assert migrate.migrate(url, folder) is True
    one_by_one = made(url)
    assert len(one_by_one) > 100
    stores.clear()
    assert migrate.migrate(url, folder) is True
    assert made(url) == one_by_one
    assert migrate.migrate(url, folder) is False


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of identity's revisions, which may be written beside."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    copy = tmp_path / "migrations"
    shutil.copytree(
        first_rows.migrations("identity"), copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    return copy


def add(folder: Path, number: str, before: str, statement: str) -> None:
    """One more revision."""
    (folder / "versions" / f"{number}_more.py").write_text(
        f"from alembic import op\nrevision = {number!r}\ndown_revision = {before!r}\n"
        f"def upgrade():\n    op.execute({statement!r})\n"
    )


def test_a_script_that_fails_leaves_nothing_and_the_next_start_makes_all(
    stores: Stores, folder: Path
) -> None:
    url, head = stores.database_url("identity"), migrate.head(folder)
    add(folder, "9001", head, "CREATE TABLE more (broken no_such_type)")
    with pytest.raises(psycopg.errors.UndefinedObject):
        migrate.migrate(url, folder)
    with psycopg.connect(url) as connection:
        for table in ("service_version", "accounts"):
            assert connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,)
    add(folder, "9001", head, "CREATE TABLE more (number int)")
    assert migrate.migrate(url, folder) is True
    assert ("service_version", "9001") in made(url)
    assert ("column", "more", "number", "integer") in {each[:4] for each in made(url)}


def test_a_kept_script_is_of_these_revisions_alone(stores: Stores, folder: Path) -> None:
    first = migrate.script("service_version", folder)
    kept = folder / "versions" / "__pycache__" / "service_version.sql"
    assert kept.exists()
    assert migrate.script("service_version", folder) == first
    add(folder, "9001", migrate.head(folder), "CREATE TABLE more (number int)")
    assert "CREATE TABLE more (number int)" in migrate.script("service_version", folder)
    # The same name, another content.
    add(folder, "9001", "0021", "CREATE TABLE more (number bigint)")
    assert "CREATE TABLE more (number bigint)" in migrate.script("service_version", folder)
    kept.write_bytes(b"DROP SCHEMA identity CASCADE")
    assert "DROP SCHEMA" not in migrate.script("service_version", folder)
    assert migrate.migrate(stores.database_url("identity"), folder) is True


def test_a_start_that_was_cut_off_between_revisions_goes_on(stores: Stores, folder: Path) -> None:
    """The table of revisions is there and empty: so one by one left it."""
    url = stores.database_url("identity")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE service_version (version_num varchar(32) PRIMARY KEY)")
    assert migrate.migrate(url, folder) is True
    assert ("service_version", migrate.head(folder)) in made(url)
