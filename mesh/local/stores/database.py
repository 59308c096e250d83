"""Where the database is, for which role, and for how many connections.

Every command of `palestra` comes by here, so that no client of the database is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

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
