"""Brings a service's schema up to date before it serves.

The runtime's tables and the service's own have a version table each. Where both
are at their head, nothing heavy is imported: that is every start but a few.
"""

from __future__ import annotations

from pathlib import Path

import psycopg

from mesh.importing import without_unused

RUNTIME = Path(__file__).parent / "migrations"
LOCK = "SELECT pg_advisory_lock(hashtextextended('migrate ' || current_schema(), 0))"


def head(folder: Path) -> str:
    """The newest revision of a migrations folder: its files' names begin with their ids."""
    names = [path.name for path in (folder / "versions").glob("*_*.py")]
    return max(names).split("_", 1)[0] if names else ""


def migrate(url: str, service_migrations: Path | None) -> bool:
    """Upgrades the runtime's and the service's tables; true where there was something to do.

    Several workers may call it at once: one does the work, the others wait.
    """
    folders = [("runtime_version", RUNTIME)]
    if service_migrations is not None:
        folders.append(("service_version", service_migrations))
    with psycopg.connect(url, autocommit=True) as connection:
        if all(_version(connection, table) == head(folder) for table, folder in folders):
            return False
        connection.execute(LOCK)
        for table, folder in folders:
            if _version(connection, table) != head(folder):
                _upgrade(url, table, folder)
    return True


def _version(connection: psycopg.Connection[tuple[object, ...]], table: str) -> str:
    found = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    if found is None or found[0] is None:
        return ""
    query = psycopg.sql.SQL("SELECT version_num FROM {}").format(psycopg.sql.Identifier(table))
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""


def _upgrade(url: str, version_table: str, folder: Path) -> None:
    with without_unused():
        from alembic import command
        from alembic.config import Config
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool
    )
    with engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(RUNTIME))
        config.set_main_option("version_locations", str(folder / "versions"))
        config.set_main_option("path_separator", "newline")
        config.attributes["connection"] = connection
        config.attributes["version_table"] = version_table
        command.upgrade(config, "head")
        connection.commit()
