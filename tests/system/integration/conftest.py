"""Integration's tables, empty for each of this folder's tests that asks for them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mesh.runtime import migrate
from mesh.runtime.sql import Database
from services.integration.service import SERVICE
from services.integration.telemetry.rules import Limits
from tests.support.made_tokens import Signer
from tests.support.stores import Stores
from tests.system.integration.line import LineUnderTest, line_under_test
from tests.system.integration.watch import Watch


@pytest.fixture
async def database(running_stores: Stores) -> AsyncIterator[Database]:
    """Integration's schema, migrated."""
    running_stores.clear(["integration"])
    url = running_stores.database_url("integration")
    await asyncio.to_thread(migrate.migrate, url, SERVICE.migrations)
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


@pytest.fixture
async def line(folder: Path, signer: Signer) -> AsyncIterator[LineUnderTest]:
    async with line_under_test(folder, signer, limits=Limits(window=8)) as started:
        yield started


@pytest.fixture
async def watch(line: LineUnderTest, signer: Signer) -> Watch:
    return Watch(line, signer)
