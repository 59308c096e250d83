"""The keys that sign links: a small file that services and the edge's own process share.

Owns the file's form and its turning: a new key a week, the one before it still good. A
key signs only when everybody has had the time to read of it. Nothing of it is logged.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

TURN_S = 7 * 86_400
"""A key signs for so long, and is good for as long again: no link lives longer."""
SIGNS_AFTER_S = 120
_GOOD = 2
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Key:
    """One key."""

    id: str
    secret: bytes = field(repr=False)
    made_at_s: float


class KeyFile:
    """The keys as the file has them now, the newest first."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._seen: tuple[int, int] | None = None
        self._looked_at_s = 0.0

    def signing(self) -> Key:
        """The newest key that all others know by now.

        Raises:
            OSError: there is no file, and none can be made.
        """
        self._look(_LOOK_S)
        if not self._keys:
            self.turn()
        known = [key for key in self._keys if self._clock() - key.made_at_s >= SIGNS_AFTER_S]
        # Where there is but one, nobody can have an older.
        return known[0] if known else self._keys[-1]

    def find(self, key_id: str) -> Key | None:
        """The key of that id, if it is still good."""
        self._look(_LOOK_S if any(key.id == key_id for key in self._keys) else 0.0)
        return next((key for key in self._keys if key.id == key_id), None)

    def turn(self) -> None:
        """Adds a key where the newest has signed for long enough, and drops what is too old."""
        with self._locked():
            self._look(0.0)
            now = self._clock()
            if self._keys and now - self._keys[0].made_at_s < TURN_S:
                return
            fresh = Key(secrets.token_hex(4), secrets.token_bytes(32), now)
            self._write((fresh, *self._keys)[:_GOOD])
            self._look(0.0)

    def _look(self, after_s: float) -> None:
        """Reads the file again where it changed; looks at most once in so many seconds."""
        now = time.monotonic()
        if self._keys and now - self._looked_at_s < after_s:
            return
        self._looked_at_s = now
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._keys, self._seen = (), None
            return
        seen = (found.st_mtime_ns, found.st_ino)
        if seen != self._seen:
            self._keys, self._seen = _read(self._path), seen

    def _write(self, keys: tuple[Key, ...]) -> None:
        content = [
            {"id": key.id, "secret": key.secret.hex(), "made_at_s": key.made_at_s} for key in keys
        ]
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"keys": content}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        beside = self._path.with_name(f".{self._path.name}.lock")
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _read(path: Path) -> tuple[Key, ...]:
    keys = json.loads(path.read_bytes())["keys"]
    return tuple(
        Key(each["id"], bytes.fromhex(each["secret"]), float(each["made_at_s"])) for each in keys
    )
