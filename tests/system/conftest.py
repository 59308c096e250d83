"""The stores, started once for all who need them; gone at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stores import Stores
from tests.support.stores import stores as started


@pytest.fixture(scope="session")
def running_stores() -> Iterator[Stores]:
    """PostgreSQL and Redis, with whatever the tests before have left in them."""
    with started() as made:
        yield made
