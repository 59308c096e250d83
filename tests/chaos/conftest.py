"""A stack for the kills, apart from the one of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import chaos
from tests.support.athletes import Club, club
from tests.support.whole_stack import WholeStack, whole_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[WholeStack]:
    """Three workers of training, one of everything else."""
    with whole_stack({"training": 3}, on_disk=True) as running:
        yield running


@pytest.fixture
def athletes(stack: WholeStack) -> Iterator[Club]:
    """Signs athletes up for one test."""
    with club(stack) as opened:
        yield opened


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of all choices of this run."""
    return chaos.seed()
