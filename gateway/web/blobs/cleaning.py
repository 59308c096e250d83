"""What nobody came back for: half-done uploads, and whole ones that no service kept.

Owns how long each may wait. A round removes a bounded number; the next goes on.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import structlog

from gateway.web.blobs.staging import Staging
from mesh.runtime.blobs import INCOMING, KeyFile, Objects
from mesh.runtime.errors import MeshError

EVERY_S = 60.0
MOST = 1_000
UNKEPT = timedelta(days=1)
_log = structlog.get_logger(__name__)


async def by_the_clock(staging: Staging, objects: Objects, keys: KeyFile) -> None:
    """Cleans, and turns the keys, as long as the process runs."""
    while True:
        try:
            await asyncio.to_thread(keys.turn)
        except OSError as error:
            # A file that is given from elsewhere is turned there.
            _log.debug("keys_not_ours_to_turn", error=str(error))
        try:
            await once(staging, objects)
        except (MeshError, OSError) as error:
            _log.warning("cleaning_failed", error=str(error))
        await asyncio.sleep(EVERY_S)


async def once(staging: Staging, objects: Objects) -> int:
    """One round; how much was removed."""
    removed = await asyncio.to_thread(staging.clean, time.time(), MOST)
    before = datetime.now(UTC) - UNKEPT
    for blob in await objects.below(INCOMING, MOST):
        if blob.modified_at < before:
            await objects.delete(blob.path)
            removed += 1
    return removed
