"""The database, and a role and schema per service, applied at every start.

Repeating changes nothing. A role logs in with its own password, owns its own schema,
and has no right to anything else: not to another service's schema, nor to `public`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from mesh.local.credentials import ADMIN
from mesh.local.stores.database import DATABASE, role_connections, url


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
