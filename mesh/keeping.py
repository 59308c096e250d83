"""What was made with effort, kept in a file for the next start: never needed, never believed.

Owns the form. A file is taken only for the key that it was kept under, and whole; otherwise
it counts as none, and what is made anew replaces it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

_DIGEST_BYTES = 32


def read(path: Path, key: bytes) -> bytes | None:
    """What was kept under the key; None where there is nothing, something else or half of it."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return content if head == _head(key, content) else None


def write(path: Path, key: bytes, content: bytes) -> None:
    """Keeps it, whole or not at all; not where bytecode is not to be written, or cannot be."""
    if sys.dont_write_bytecode:
        return
    # Several workers may start for the first time at once.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        try:
            unfinished.write_bytes(_head(key, content) + content)
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise


def _head(key: bytes, content: bytes) -> bytes:
    return blake2b(content, key=blake2b(key).digest(), digest_size=_DIGEST_BYTES).digest()
