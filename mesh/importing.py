"""Importing a program's modules at the least cost.

Nothing of what is imported is garbage; looking for some while hundreds of thousands of
objects come costs a fifth of a start's CPU (1.11 s with, 0.90 s without, for training).
Libraries import others only because they are installed: 0.07 s of each start. And what
dataclasses compile was compiled at the last start already.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mesh import compiling, polling

UNUSED: Final = (
    # By structlog, for consoles: a service's log is lines of JSON.
    "rich",
    # By redis, to measure itself where it is told to. Where spans are exported,
    # `mesh.runtime.traces` imports it later.
    "opentelemetry.sdk",
    # By Mako, and that by Alembic, to colour what went wrong.
    "pygments",
)
"""What libraries go without where it is not there."""


@contextmanager
def frugally() -> Iterator[None]:
    """What is made in the block is never looked through again, and comes without `UNUSED`.

    What libraries read of the environment when they are imported is said before.
    """
    polling.directly()
    gc.disable()
    try:
        with without_unused(), compiling.once(_program()):
            yield
    finally:
        gc.freeze()
        gc.enable()


def _program() -> str:
    """What was started, `services.identity` say."""
    spec = sys.modules["__main__"].__spec__
    return (spec.parent if spec else None) or "python"


@contextmanager
def without_unused() -> Iterator[None]:
    """What is imported in the block comes without `UNUSED`; afterwards those can be imported."""
    left_out = [name for name in UNUSED if name not in sys.modules]
    # By Python's own rule this is a module that cannot be found.
    sys.modules.update(dict.fromkeys(left_out))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in left_out:
            sys.modules.pop(name, None)
