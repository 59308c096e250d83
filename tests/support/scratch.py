"""Where tests have their stores and stacks: short folders, in memory where there is room.

A test of who comes first, or of what is left after SIGKILL, asks nothing of a disk: what a
killed process wrote, the kernel keeps either way. A disk that many share holds a commit up for
seconds at its worst, and what waits for it is late then. What measures, and what asks for
durability as the product has it, says `on_disk`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 8 << 30
"""Bytes that must be free, of the folder and of the machine: two workers took 0.9 GiB in all."""


@contextmanager
def short_folder(*, on_disk: bool = False) -> Iterator[Path]:
    """A folder with room for a state folder's sockets, removed at the end."""
    # pytest's own folders are too deep for a socket's name.
    folder = Path(tempfile.mkdtemp(prefix="pal-", dir=None if on_disk else _roomy()))
    # Root's PostgreSQL runs as another user, which must come through.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _roomy() -> Path | None:
    """The folder that is memory; None where there is none, or little of it."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM:
        return None
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free_kib = int(lines["MemAvailable"].split()[0])
    return _MEMORY if free_kib << 10 >= _ROOM else None
