"""The database, and a role and schema per service, applied at every start.

Repeating changes nothing. A role logs in with its own password, owns its own schema,
and has no right to anything else: not to another service's schema, nor to `public`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from mesh.local.credentials import ADMIN

DATABASE = "palestra"
POOL = 8
"""Connections in a worker's pool."""
BESIDE_POOL = 6
"""Connections that a worker holds beside its pool: leases, relay, migration, and room."""
_RESERVED = 10
"""For the operator, for autovacuum's and the superuser's needs."""
SPARE_WORKERS = 8
"""Workers of all services together that may be added while PostgreSQL runs."""


def role_connections(workers: int) -> int:
    """How many connections a service that begins with so many workers may hold."""
    return (workers + 1 + SPARE_WORKERS) * (POOL + BESIDE_POOL)


def max_connections(workers: Mapping[str, int]) -> int:
    """What the server must allow for these services.

    A worker more of each than there are: an old one may still drain while its successor
    starts. And those that may be added, of whichever service.
    """
    standing = sum(number + 1 for number in workers.values())
    return _RESERVED + (standing + SPARE_WORKERS) * (POOL + BESIDE_POOL)


def url(socket_folder: Path, role: str, password: str, database: str = DATABASE) -> str:
    """A libpq connection URL over the unix socket."""
    host = quote(str(socket_folder), safe="/")
    return f"postgresql://{role}:{password}@/{database}?host={host}&connect_timeout=10"


def apply(socket_folder: Path, passwords: Mapping[str, str], workers: Mapping[str, int]) -> None:
    """Brings roles and schemas to what the catalogue says."""
    admin = passwords[ADMIN]
    with psycopg.connect(url(socket_folder, ADMIN, admin, "postgres"), autocommit=True) as server:
        _make_database(server)
        for service, number in workers.items():
            _make_role(server, service, passwords[service], role_connections(number))
    with psycopg.connect(url(socket_folder, ADMIN, admin), autocommit=True) as database:
        database.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for service in workers:
            _make_schema(database, service)


def _make_database(server: psycopg.Connection) -> None:
    found = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
    if found is None:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    for database in (DATABASE, "postgres", "template1"):
        name = sql.Identifier(database)
        server.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def _make_role(server: psycopg.Connection, role: str, password: str, connections: int) -> None:
    name = sql.Identifier(role)
    if server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
        server.execute(sql.SQL("CREATE ROLE {}").format(name))
    server.execute(
        sql.SQL(
            "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS "
            "CONNECTION LIMIT {} PASSWORD {}"
        ).format(name, sql.Literal(connections), sql.Literal(password))
    )
    server.execute(
        sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
            sql.Identifier(DATABASE), name
        )
    )


def _make_schema(database: psycopg.Connection, service: str) -> None:
    name = sql.Identifier(service)
    database.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(name, name))
    database.execute(
        sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}").format(
            name, sql.Identifier(DATABASE), name
        )
    )
