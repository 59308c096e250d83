"""A Redis that these tests share, with the limiter's own user."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.scratch import short_folder
from tests.support.stores import Stores


@pytest.fixture(scope="package")
def stores() -> Iterator[Stores]:
    with short_folder() as folder:
        made = Stores(folder)
        try:
            made.start("redis")
            yield made
        finally:
            made.stop()
