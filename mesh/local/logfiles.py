"""The logs' bound, and reading their ends.

A process appends to its own log and never notices that it was cut: the content
moves to `<name>.log.1`, the file is emptied in place. A few lines that arrive in
between may be lost.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

BOUND_BYTES = 8 << 20
_TAIL_BYTES = 64 << 10


def cut(log: Path) -> bool:
    """Cuts the log where it is over the bound; true where it was."""
    try:
        if log.stat().st_size <= BOUND_BYTES:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True


def tail(log: Path, lines: int) -> list[str]:
    """The last lines, at most 64 KiB of them; none where there is no log."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []
