"""Envoy's message types without pydantic's validators: half of the control plane's start.

Decides nothing about messages: the same are made, byte for byte, which a test compares.
The unit tests import the types as they are, so that a wrong value is found there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pydantic.dataclasses


@contextmanager
def without_validators() -> Iterator[None]:
    """Message types that are imported within the block are plain dataclasses."""
    validated = pydantic.dataclasses.dataclass
    pydantic.dataclasses.dataclass = _plain  # type: ignore[assignment]
    try:
        yield
    finally:
        pydantic.dataclasses.dataclass = validated


def _plain(*, config: object = None, **options: Any) -> Callable[[type], type]:  # noqa: ARG001
    return dataclasses.dataclass(**options)
