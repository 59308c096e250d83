"""Training's workers on the real stores; each test has people of its own."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.made_tokens import Signer
from tests.support.stores import Stores
from tests.support.training_athlete import Athlete, athlete
from tests.support.training_worker import Worker, prepare, worker


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer("test")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="tr-") as name:
        yield Path(name)


@pytest.fixture
async def stores(running_stores: Stores) -> Stores:
    await prepare(running_stores)
    return running_stores


@pytest.fixture
async def one(folder: Path, stores: Stores, signer: Signer) -> AsyncIterator[Worker]:
    """A worker of training."""
    async with worker(folder, stores, signer, 1) as made:
        yield made


@pytest.fixture
async def other(folder: Path, stores: Stores, signer: Signer) -> AsyncIterator[Worker]:
    """A second one, with a memory of its own."""
    async with worker(folder, stores, signer, 2) as made:
        yield made


@pytest.fixture
def runner(signer: Signer) -> Athlete:
    """A person with nothing recorded yet."""
    return athlete(signer)
