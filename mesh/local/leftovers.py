"""Ends what an earlier, killed supervisor left running in this state folder.

Decides by process id, start time, boot and command line together, so that nothing
else on the machine is ever signalled. Called with the lock held.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from mesh.local import board, procfs
from mesh.local.places import Places

_WAIT_S = 5.0
_LOOK_S = 0.02


def _alive(identity: procfs.Identity, command: tuple[str, ...]) -> bool:
    """Whether this very process lives. Its command may still have the leash before it."""
    if procfs.identify(identity.pid) != identity:
        return False
    return procfs.command(identity.pid)[-len(command) :] == command


def end(places: Places) -> int:
    """Kills the leftovers and waits until they are gone; how many there were.

    They are killed at once: nothing of theirs can be drained without a mesh, and
    every store survives it.
    """
    found = [each for each in board.recorded(places) if _alive(*each)]
    for identity, _command in found:
        with suppress(ProcessLookupError):
            os.killpg(identity.pid, signal.SIGKILL)
    deadline = time.monotonic() + _WAIT_S
    while any(_alive(*each) for each in found) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return len(found)
