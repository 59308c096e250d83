"""What dataclasses compile, kept between starts as Python keeps what modules compile.

Owns a file for each program, beside this module's own bytecode. Each method of a dataclass is
compiled from text whenever its module is imported: 1,300 of them, a seventh of what identity's
imports cost. The text is the key, so nothing that is kept can be of something else.
"""

from __future__ import annotations

import dataclasses
import marshal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType
from typing import Any

from mesh import keeping

_NAME = "exec"


@contextmanager
def once(program: str) -> Iterator[None]:
    """What the dataclasses of the block compile is taken from the program's last start."""
    path = place(program)
    known = _read(path)
    used: dict[str, CodeType] = {}

    def run(text: str, *names: Any) -> None:
        code = known.get(text)
        if code is None:
            # Nothing of this module's own `from __future__` is meant there.
            code = compile(text, "<string>", "exec", dont_inherit=True)
        used[text] = code
        exec(code, *names)  # noqa: S102 - as `dataclasses` itself does with the text

    # A module's own name comes before that of Python's builtin.
    vars(dataclasses)[_NAME] = run
    try:
        yield
    finally:
        del vars(dataclasses)[_NAME]
    if used.keys() != known.keys():
        keeping.write(path, MAGIC_NUMBER, marshal.dumps(used))


def place(program: str) -> Path:
    """Where a program's is kept: of this Python, and where its bytecode is."""
    own = Path(cache_from_source(__file__))
    return own.with_name(f"{own.stem}.{program}.bin")


def _read(path: Path) -> Mapping[str, CodeType]:
    """Code by its text; nothing where it is another Python's."""
    kept = keeping.read(path, MAGIC_NUMBER)
    found: dict[str, CodeType] = marshal.loads(kept) if kept else {}  # noqa: S302 - as a .pyc is
    return found
