"""Where uploads wait until they are whole: a file and a record each, under a lock.

Owns the staging folder, which all processes of this kind share. The lock is the kernel's,
so that whoever is killed holds nothing; how far an upload is, is the file's own size.
Nothing here is ever read by anybody but the finishing of its own upload.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mesh.runtime.blobs import BlobName

_LOOK_S = 0.05
WAIT_S = 2.0
"""For who was before: a client that comes back is faster than the news that it was gone."""
KEPT_AFTER_S = 3_600
"""Beyond the link's end, so that the last to come back are told what became of it."""


@dataclass(slots=True)
class Record:
    """What is known of an upload beside its bytes."""

    expires_at_s: int
    length: int | None = None
    """How many bytes it will have, once somebody said so."""
    outcome: str = ""
    """`done` or `rejected`; empty while it is under way."""
    sha256: str = ""
    """Of what was done."""


class Busy(Exception):
    """Somebody else has the upload."""


class Staged:
    """One upload, ours for now."""

    def __init__(self, folder: Path, name: str, expires_at_s: int) -> None:
        self.path = folder / name
        self._record_path = folder / f"{name}.json"
        self.record = _read(self._record_path) or Record(expires_at_s)

    @property
    def offset(self) -> int:
        """How many bytes are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def head(self, most: int) -> bytes:
        """The first bytes."""
        try:
            with self.path.open("rb") as file:
                return file.read(most)
        except FileNotFoundError:
            return b""

    def append(self, content: bytes) -> None:
        """Adds to the end."""
        with self.path.open("ab") as file:
            file.write(content)

    def cut(self, size: int) -> None:
        """Forgets what is behind `size`."""
        if self.path.exists():
            os.truncate(self.path, size)

    def discard(self) -> None:
        """Forgets the bytes, and that there were any."""
        self.path.unlink(missing_ok=True)
        self._record_path.unlink(missing_ok=True)
        self.record = Record(self.record.expires_at_s)

    def note(self) -> None:
        """Writes the record, whole or not at all."""
        fresh = self._record_path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self.record)))
        fresh.rename(self._record_path)

    def conclude(self, outcome: str, sha256: str = "") -> None:
        """The record says what became of it; the bytes are no longer needed."""
        self.record.outcome, self.record.sha256 = outcome, sha256
        self.note()
        self.path.unlink(missing_ok=True)

    def digest(self) -> str:
        """SHA-256 of the bytes, which are on the disk thereafter."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
            return hashlib.file_digest(file, "sha256").hexdigest()


class Staging:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @asynccontextmanager
    async def hold(
        self, blob: BlobName, expires_at_s: int, wait_s: float = WAIT_S
    ) -> AsyncIterator[Staged]:
        """The upload of a blob, for as long as the block lasts.

        Raises:
            Busy: somebody else has it, and does not let go.
        """
        name = hashlib.sha256(str(blob).encode()).hexdigest()[:40]
        descriptor = await self._lock(self.folder / f"{name}.lock", wait_s)
        try:
            yield Staged(self.folder, name, expires_at_s)
        finally:
            os.close(descriptor)

    async def _lock(self, path: Path, wait_s: float) -> int:
        until_s = time.monotonic() + wait_s
        while True:
            descriptor = take(path)
            if descriptor is not None:
                return descriptor
            if time.monotonic() >= until_s:
                raise Busy
            await asyncio.sleep(_LOOK_S)

    def clean(self, now_s: float, most: int = 1_000) -> int:
        """Removes what ended or expired long enough ago; how many uploads that were."""
        removed = 0
        with os.scandir(self.folder) as entries:
            locks = [Path(each.path) for each in entries if each.name.endswith(".lock")]
        for path in locks:
            if removed >= most:
                break
            removed += self._clean(path, now_s)
        return removed

    def _clean(self, path: Path, now_s: float) -> bool:
        descriptor = take(path)
        if descriptor is None:
            return False
        try:
            record = _read(path.with_suffix(".json"))
            # Without a record nothing came yet: the lock's own age tells.
            ends_s = record.expires_at_s if record else path.stat().st_mtime
            if now_s < ends_s + KEPT_AFTER_S:
                return False
            for each in (path.with_suffix(""), path.with_suffix(".json"), path):
                each.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        return True


def take(path: Path) -> int | None:
    """The lock, if it is free; closing the descriptor gives it back."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who waited for a lock that was cleaned away holds one that nobody else sees.
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _read(path: Path) -> Record | None:
    try:
        return Record(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
