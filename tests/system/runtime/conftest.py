"""The stores, started once, and emptied before each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.stores import Stores
from tests.support.stores import stores as started
from tests.support.told_counters import Bus


@pytest.fixture(scope="session")
def running_stores() -> Iterator[Stores]:
    with started() as made:
        yield made


@pytest.fixture
def stores(running_stores: Stores) -> Stores:
    running_stores.clear()
    return running_stores


@pytest_asyncio.fixture
async def bus(stores: Stores) -> AsyncIterator[Bus]:
    made = Bus(stores)
    await made.open()
    yield made
    await made.close()
