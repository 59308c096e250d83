"""Brings a service's schema up to date before it serves.

The runtime's tables and the service's own have a version table each. Where both are at their
head, nothing heavy is imported: that is every start but a few. Nor where there is nothing yet:
all revisions together are one script then, which is kept from the last time that it was written
(Alembic's import and its walk through identity's are 0.2 s of CPU).
"""

from __future__ import annotations

import io
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from mesh import keeping
from mesh.importing import without_unused

if TYPE_CHECKING:
    from alembic.config import Config

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
            version = _version(connection, table)
            if version is None:
                connection.execute(script(table, folder))
            elif version != head(folder):
                _upgrade(url, table, folder)
    return True


def _version(connection: psycopg.Connection[tuple[object, ...]], table: str) -> str | None:
    """The revision that the schema is at; None where not even the table of revisions is there."""
    found = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    if found is None or found[0] is None:
        return None
    query = psycopg.sql.SQL("SELECT version_num FROM {}").format(psycopg.sql.Identifier(table))
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""


def script(version_table: str, folder: Path) -> str:
    """What makes an empty schema: all of a folder's revisions as SQL, in one transaction."""
    versions = folder / "versions"
    key = _digest(version_table, RUNTIME / "env.py", *sorted(versions.glob("*.py")))
    path = versions / "__pycache__" / f"{version_table}.sql"
    kept = keeping.read(path, key)
    if kept is None:
        kept = _written(version_table, folder).encode()
        keeping.write(path, key, kept)
    return kept.decode()


def _digest(version_table: str, *files: Path) -> bytes:
    found = blake2b(version_table.encode())
    for each in files:
        found.update(f"\0{each.name}\0".encode() + each.read_bytes())
    return found.digest()


def _written(version_table: str, folder: Path) -> str:
    with without_unused():
        from alembic import command

    config = _config(version_table, folder)
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)
    return config.output_buffer.getvalue()


def _upgrade(url: str, version_table: str, folder: Path) -> None:
    with without_unused():
        from alembic import command
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool
    )
    with engine.connect() as connection:
        config = _config(version_table, folder)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def _config(version_table: str, folder: Path) -> Config:
    with without_unused():
        from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(RUNTIME))
    config.set_main_option("version_locations", str(folder / "versions"))
    config.set_main_option("path_separator", "newline")
    config.attributes["version_table"] = version_table
    return config
