"""The SQL statements of a service and of the runtime, by where they are."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

from mesh.runtime.sql import Statement


def statements_of(service: str) -> Iterator[tuple[str, Statement]]:
    """A service's own and the runtime's, by their modules and names."""
    importlib.import_module(f"services.{service}.service")
    ours = (f"services.{service}.", "mesh.runtime.")
    for module in [each for name, each in sys.modules.items() if name.startswith(ours)]:
        for name, value in vars(module).items():
            for each in _several(value):
                if isinstance(each, Statement):
                    yield f"{module.__name__}.{name}", each


def _several(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    else:
        yield value
