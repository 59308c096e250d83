"""Intervals between heart beats, and when they were.

FIT's hrv messages carry intervals without a time. Decides where on the clock
they lie: one after the other, tied to the record before them whenever the two
clocks drift apart, never backwards. Never changes an interval.
"""

from __future__ import annotations

_DRIFT_MS = 3_000
_INVALID = 0xFFFF


class Beats:
    """Gathers the intervals of a file as its messages come."""

    def __init__(self) -> None:
        self._now_ms: int | None = None
        self._last_ms: int | None = None
        self._timed: list[tuple[int, int]] = []
        self._untimed: list[int] = []

    def at(self, time_ms: int) -> None:
        """The file has come to this time."""
        self._now_ms = time_ms
        waiting, self._untimed = self._untimed, []
        for interval in waiting:
            self._add(interval)

    def intervals(self, raw: object) -> None:
        """An hrv message's `time`: one interval or several, in 1/1000 s."""
        for value in raw if isinstance(raw, list) else [raw]:
            if isinstance(value, int) and value != _INVALID:
                if self._now_ms is None:
                    self._untimed.append(value)
                else:
                    self._add(value)

    def timed(self) -> list[tuple[int, int]]:
        """Each interval's end in ms since 1970, and the interval in 1/1000 s."""
        return self._timed

    def _add(self, interval: int) -> None:
        now_ms = self._now_ms or 0
        last_ms = self._last_ms if self._last_ms is not None else now_ms
        time_ms = last_ms + interval
        if time_ms < now_ms - _DRIFT_MS:
            time_ms = now_ms
        elif time_ms > now_ms + _DRIFT_MS:
            time_ms = max(last_ms, now_ms)
        self._last_ms = time_ms
        self._timed.append((time_ms, interval))
