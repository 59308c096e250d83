"""One stack for all end-to-end tests: three workers of training, everything real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.athletes import Athlete, Club, club
from tests.support.shops import real_shop
from tests.support.whole_stack import WholeStack, whole_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[WholeStack]:
    """The running stack; no test may leave it other than it was."""
    with real_shop() as shop, whole_stack({"training": 3}, shop=shop) as running:
        yield running


@pytest.fixture(scope="session")
def athletes(stack: WholeStack) -> Iterator[Club]:
    """Signs athletes up."""
    with club(stack) as opened:
        yield opened


@pytest.fixture
def athlete(athletes: Club) -> Athlete:
    """Somebody with nothing recorded yet."""
    return athletes.register()
