"""The stores, started once for all who need them; gone at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.stores import Stores
from tests.support.stores import stores as started
from tests.support.told_counters import Bus


@pytest.fixture(scope="session")
def running_stores() -> Iterator[Stores]:
    """PostgreSQL and Redis, with whatever the tests before have left in them."""
    with started() as made:
        yield made


@pytest.fixture
def stores(request: pytest.FixtureRequest, running_stores: Stores) -> Stores:
    """With nothing in them; with the bus' tables where the test has a bus."""
    if "bus" not in request.fixturenames:
        running_stores.clear()
    return running_stores


@pytest_asyncio.fixture
async def bus(stores: Stores) -> AsyncIterator[Bus]:
    """A bus on which nothing has been told."""
    made = Bus(stores)
    await made.renew()
    yield made
    await made.close()
