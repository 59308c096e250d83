"""A process that starts beside others that serve lets them go first on a busy machine.

Owns how much a process weighs: by its autogroup, which the kernel makes of every session
(`spawn` gives each process one of its own). Anybody may make that lighter and, unlike a
process's nice value, as heavy again. Where there are no autogroups all weigh the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from mesh.local import procfs
from mesh.local.procfs import Identity

BEHIND: Final = 15
"""A thirtieth of the usual weight: what the others leave is its own all the same."""
_AS_OTHERS: Final = 0
_AGAIN_S: Final = 0.1


@asynccontextmanager
async def giving_way(process: Identity | None) -> AsyncIterator[None]:
    """For as long as the block runs; then the process weighs as much as the others."""
    if process is None:
        yield
        return
    _weigh(process, BEHIND)
    try:
        yield
    finally:
        # To the end, whatever becomes of who asked: it would be slow for ever.
        await asyncio.shield(asyncio.create_task(_as_others(process)))


async def _as_others(process: Identity) -> None:
    while not _weigh(process, _AS_OTHERS):
        await asyncio.sleep(_AGAIN_S)


def _weigh(process: Identity, nice: int) -> bool:
    """Whether that is settled: done, or not to be done here."""
    if procfs.identify(process.pid) != process:
        return True
    try:
        Path(f"/proc/{process.pid}/autogroup").write_text(str(nice))
    except BlockingIOError:
        # The kernel hears those without privileges ten times a second, all together.
        return False
    except OSError:
        return True
    return True
