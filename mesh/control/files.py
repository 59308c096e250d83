"""Files that change while we run.

Owns noticing that a file was replaced. Never reads what did not change.
"""

from __future__ import annotations

from pathlib import Path

MAX_BYTES = 16 << 20


class Watched:
    """One file, by its last change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._first = True

    def changed(self) -> bool:
        """Whether it is another than at the last call; true at the first."""
        try:
            stat = self.path.stat()
            now = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            now = None
        differs = self._first or now != self._seen
        self._seen, self._first = now, False
        return differs

    def read(self) -> bytes | None:
        """The content; None where there is no such file.

        Raises:
            ValueError: it is larger than any such file of ours.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(content) > MAX_BYTES:
            raise ValueError(f"{self.path.name} is larger than {MAX_BYTES} bytes")
        return content
