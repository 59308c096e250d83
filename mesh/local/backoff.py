"""How long to wait before starting again what died."""

from __future__ import annotations

FIRST_S = 0.2
LAST_S = 5.0
LAST_AFTER_SERVING_S = 1.0
"""What can serve is wanted back: its death is more often somebody else's doing."""
STABLE_S = 10.0
"""A process that served for so long starts again from the shortest wait."""


class Backoff:
    """Doubles from FIRST_S to LAST_S, or to less where it served; a stable run resets it."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def wait_s(self, served_s: float) -> float:
        """The wait after a run that served for `served_s` seconds."""
        if served_s >= STABLE_S:
            self._next_s = FIRST_S
        if served_s > 0:
            self._next_s = min(self._next_s, LAST_AFTER_SERVING_S)
        wait, self._next_s = self._next_s, min(2 * self._next_s, LAST_S)
        return wait
