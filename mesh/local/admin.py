"""Runs identity's command for its operator, on this stack's database or on another.

Decides which database. What is done there, and whether it may be, is identity's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from mesh.local.errors import StackError
from mesh.local.places import ROOT, Places, read_json
from mesh.local.stores import database

_SERVICE = "identity"


def run(places: Places, database_url: str, arguments: Sequence[str]) -> int:
    """Runs the command; its exit status.

    Raises:
        StackError: there is no stack, and no database was named.
    """
    url = database_url or _own(places)
    command = [sys.executable, "-m", f"services.{_SERVICE}.roles", *arguments]
    # The password goes by the environment: command lines are seen by everybody on a machine.
    env = {**os.environ, "PALESTRA_DATABASE_URL": url}
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


def _own(places: Places) -> str:
    found = read_json(places.state / "secrets.json")
    if found is None or not any(places.postgres.glob(".s.PGSQL.*")):
        raise StackError(f"no stack runs in {places.state}; name a database, or `palestra up`.")
    return database.url(places.postgres, _SERVICE, found["postgres"][_SERVICE])
