"""The stores, emptied before each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.stores import Stores
from tests.support.told_counters import Bus


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
