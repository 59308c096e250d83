"""Sessions that a device records, and what it knows to have recorded: the client's ledger.

Owns the making of batches by seed: gaps, developer channels, beats between the seconds, a
clock that is set back. Each value is one that no other place in the session has.
"""

from __future__ import annotations

import random
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from palestra.training.v1 import sport_pb2, telemetry_pb2
from tests.support.ledgers import Row, Samples

START_MS: Final = 1_780_000_000_000
CHANNELS: Final = (
    telemetry_pb2.ChannelDescription(name="HEART_RATE", unit="bpm"),
    telemetry_pb2.ChannelDescription(name="SPEED", unit="m/s", scale=0.001),
    telemetry_pb2.ChannelDescription(name="DISTANCE", unit="m", scale=0.01),
    telemetry_pb2.ChannelDescription(name="LATITUDE", unit="deg", scale=1e-7),
    telemetry_pb2.ChannelDescription(name="LONGITUDE", unit="deg", scale=1e-7),
    telemetry_pb2.ChannelDescription(name="RR_INTERVAL", unit="s", scale=1 / 1024),
    telemetry_pb2.ChannelDescription(
        name="Leg spring (kN/m)", unit="kN/m", encoding=telemetry_pb2.ENCODING_FLOAT64
    ),
)
_RR: Final = 5


@dataclass(slots=True)
class Recorded:
    """A session on its device."""

    user: uuid.UUID
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    sport: sport_pb2.Sport.ValueType = sport_pb2.SPORT_RUNNING
    start_ms: int = START_MS
    channels: Sequence[telemetry_pb2.ChannelDescription] = CHANNELS
    batches: list[telemetry_pb2.Batch] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the tracker calls it."""
        return f"users/{self.user}/sessions/{self.id}"

    @property
    def activity(self) -> str:
        """What it becomes."""
        return f"users/{self.user}/activities/{self.id}"

    @property
    def description(self) -> telemetry_pb2.SessionDescription:
        """As it is opened."""
        made = telemetry_pb2.SessionDescription(
            sport=self.sport, utc_offset_s=3 * 3600, channels=self.channels
        )
        made.start_time.FromMilliseconds(self.start_ms)
        return made

    @property
    def ledger(self) -> Samples:
        """All that was recorded."""
        return Samples(tuple(each.name for each in self.channels), tuple(self.rows))

    def record(self, rows: Sequence[Row]) -> telemetry_pb2.Batch:
        """The next batch."""
        times = [row[0] for row in rows]
        deltas = [0, *(after - before for before, after in pairwise(times))]
        batch = telemetry_pb2.Batch(
            seq=len(self.batches) + 1,
            first_time_ms=times[0],
            time_deltas_ms=struct.pack(f"<{len(deltas)}i", *deltas),
        )
        for index, channel in enumerate(self.channels):
            column = [row[1][index] for row in rows]
            if any(value is not None for value in column):
                batch.columns.append(_column(index, channel, column))
        self.batches.append(batch)
        self.rows += rows
        return batch

    def go_on(self, seed: int, samples: int = 20) -> telemetry_pb2.Batch:
        """Records a batch of a run at 1 Hz with gaps, and beats between the seconds."""
        chance = random.Random(f"{self.id} {len(self.batches)} {seed}")
        last_ms = self.rows[-1][0] if self.rows else self.start_ms - 1000
        if chance.random() < 0.1:
            last_ms -= 5_000
        rows: list[Row] = []
        for step in range(samples):
            number = len(self.rows) + step
            at_ms = last_ms + 1000 * (step + 1)
            values: list[float | None] = [
                60 + number % 120,
                3_000 + number % 500,
                number * 300,
                557_000_000 + number * 270,
                376_000_000 + number,
                None,
                number / 7,
            ]
            for index in range(len(values)):
                if chance.random() < 0.05:
                    values[index] = None
            rows.append((at_ms, tuple(values)))
            if chance.random() < 0.3:
                beat = [None] * _RR + [700 + number % 300] + [None] * (len(values) - _RR - 1)
                rows.append((at_ms + 400, tuple(beat)))
        return self.record(rows)


def _column(
    index: int, channel: telemetry_pb2.ChannelDescription, values: Sequence[float | int | None]
) -> telemetry_pb2.Column:
    letter = "d" if channel.encoding == telemetry_pb2.ENCODING_FLOAT64 else "i"
    packed = struct.pack(f"<{len(values)}{letter}", *(value or 0 for value in values))
    measured = sum(1 << place for place, value in enumerate(values) if value is not None)
    whole = all(value is not None for value in values)
    validity = b"" if whole else measured.to_bytes((len(values) + 7) // 8, "little")
    return telemetry_pb2.Column(channel=index, values=packed, validity=validity)
