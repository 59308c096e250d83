"""Plays a recording into the spool, as the device would have made it.

Decides when a batch is due: by the device's clock at a given speed, or as fast
as the server acknowledges. Never sends, and never skips a row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from palestra.integration.v1.telemetry_service_pb2 import Close
from palestra_watch.batches import LARGEST, USUAL, Limits, batch_of, end_of_batch
from palestra_watch.recording import Recording
from palestra_watch.spool import Spool, SpoolFull

LIVE_SPAN_MS = 1_000
"""Device time in a batch at real speed; at speed N it is N times that."""
AHEAD_BATCHES = 256
"""Of what is played as fast as acknowledged, so much waits at most."""
_ROOM_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a recording is played."""

    times: float
    """1 is real time; 0 is as fast as the server acknowledges."""

    @property
    def unbounded(self) -> bool:
        """Whether the server alone sets the pace."""
        return self.times <= 0

    def limits(self, max_batch_samples: int) -> Limits:
        """How large a batch becomes; 0 samples: the server has not said yet."""
        samples = min(max_batch_samples, LARGEST) if max_batch_samples else USUAL
        span = None if self.unbounded else max(1, round(LIVE_SPAN_MS * max(1.0, self.times)))
        return Limits(samples, span)


class Replay:
    """One recording on its way into one spool."""

    def __init__(
        self,
        recording: Recording,
        spool: Spool,
        speed: Speed,
        max_batch_samples: Callable[[], int],
        made: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recording = recording
        self._spool = spool
        self._speed = speed
        self._max_batch_samples = max_batch_samples
        self._made = made
        self._sleep = sleep
        self._clock = clock

    async def run(self) -> None:
        """Plays from where the spool ends to the close."""
        if self._spool.close_message is None:
            await self._play()
            self._spool.append_close(
                Close(last_seq=self._spool.last_seq, summary=self._recording.summary)
            )
        self._made()

    async def _play(self) -> None:
        times = self._recording.time_ms
        row = self._spool.next_row
        began = self._clock()
        first_ms = int(times[row]) if row < len(times) else 0
        while row < len(times):
            end = end_of_batch(times, row, self._speed.limits(self._max_batch_samples()))
            if not self._speed.unbounded:
                due_s = (int(times[row:end].max()) - first_ms) / 1000 / self._speed.times
                await self._sleep(max(0.0, began + due_s - self._clock()))
            await self._append(row, end)
            row = end

    async def _append(self, row: int, end: int) -> None:
        while self._speed.unbounded and self._spool.waiting_batches >= AHEAD_BATCHES:
            await self._sleep(_ROOM_PAUSE_S)
        while True:
            # Numbered at the last moment: the waiting batches may be cut anew meanwhile.
            batch = batch_of(self._recording, self._spool.last_seq + 1, row, end)
            try:
                self._spool.append(batch, end)
            except SpoolFull:
                # A recording can wait; what it holds is not lost.
                await self._sleep(_ROOM_PAUSE_S)
            else:
                self._made()
                return
            finally:
                await asyncio.sleep(0)
