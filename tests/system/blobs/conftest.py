"""One stack for all tests of blobs, with a scanner that does what a test tells it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import fake_scanner
from tests.support.athletes import Club, club
from tests.support.links import Desk
from tests.support.whole_stack import WholeStack, whole_stack


@pytest.fixture(scope="session")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder by which the scanner is told what to do."""
    return tmp_path_factory.mktemp("scanner")


@pytest.fixture(scope="session")
def stack(scanner: Path) -> Iterator[WholeStack]:
    """The running stack; no test may leave it other than it was."""
    scan = f"command {sys.executable} {fake_scanner.__file__} {scanner}"
    with whole_stack({}, scan=scan) as running:
        yield running


@pytest.fixture(scope="session")
def athletes(stack: WholeStack) -> Iterator[Club]:
    """Signs athletes up."""
    with club(stack) as opened:
        yield opened


@pytest.fixture
def rest(stack: WholeStack) -> Iterator[httpx.Client]:
    """REST for nobody in particular: links need no token."""
    with httpx.Client(base_url=stack.rest_url, timeout=30) as client:
        yield client


@pytest.fixture
def desk(stack: WholeStack) -> Desk:
    """Signs links as a service does."""
    return Desk(stack)
