"""One stack for all languages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.athletes import Club, club
from tests.support.whole_stack import WholeStack, whole_stack


@pytest.fixture(scope="package")
def stack() -> Iterator[WholeStack]:
    """The running stack."""
    with whole_stack({"training": 2}) as running:
        yield running


@pytest.fixture(scope="package")
def athletes(stack: WholeStack) -> Iterator[Club]:
    """Signs athletes up."""
    with club(stack) as opened:
        yield opened
