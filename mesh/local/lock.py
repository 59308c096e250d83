"""At most one supervisor per state folder, as the kernel sees it.

Owns the lock file. A POSIX record lock goes with its process, however that ends,
and tells who holds it without being taken, so that asking never disturbs a start.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from mesh.local.errors import AlreadyRunningError

# struct flock on 64-bit Linux: type, whence, start, length, pid.
_FLOCK = "hhqqi4x"


def hold(path: Path) -> int:
    """Takes the lock until this process ends; the file descriptor is to be kept open.

    Raises:
        AlreadyRunningError: another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise AlreadyRunningError(
            f"a stack is already running in {path.parent} (process {holder(path)}). "
            "Use `palestra down` to stop it, or another --state and --port beside it."
        ) from None
    return descriptor


def holder(path: Path) -> int | None:
    """The process that holds the lock; None where nobody does. Never take and ask in one process.

    (A record lock falls when its process closes any descriptor of the file.)
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if answer[0] == fcntl.F_UNLCK else int(answer[4])
