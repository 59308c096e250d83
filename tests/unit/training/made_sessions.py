"""Sessions that the tests of training make up, by seed; no person's track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.training.samples.rules.batches import RawBatch, RawColumn
from services.training.samples.rules.channels import ChannelSpec, Encoding, check_description

START_MS = 1_780_000_000_000
NAMES = (
    "HEART_RATE",
    "POWER",
    "CADENCE",
    "SPEED",
    "DISTANCE",
    "LATITUDE",
    "LONGITUDE",
    "ALTITUDE",
)


def eight_channels(encoding: Encoding) -> tuple[ChannelSpec, ...]:
    """The eight channels of a ride, all packed alike."""
    scales = {"LATITUDE": 1e-7, "LONGITUDE": 1e-7, "SPEED": 0.001, "DISTANCE": 0.01}
    return check_description(
        [ChannelSpec(name, "", scales.get(name, 1.0), 0.0, encoding) for name in NAMES]
    )


def raw_ride(count: int, seed: int = 7) -> list[NDArray[np.float64]]:
    """Raw values of `eight_channels`, 1 Hz, whole numbers."""
    rng = np.random.default_rng(seed)
    drift = [np.cumsum(rng.normal(0, 0.5, count)) for _ in range(3)]
    columns = [
        np.clip(140 + drift[0], 60, 190),
        rng.normal(220, 30, count),
        rng.normal(88, 2, count),
        rng.normal(8_000, 100, count),
        np.cumsum(rng.normal(800, 10, count)),
        521_234_567 + np.cumsum(rng.normal(500, 30, count)),
        41_234_567 + np.cumsum(rng.normal(700, 30, count)),
        100 + drift[1],
    ]
    return [np.round(column) for column in columns]


def ride_batches(count: int, per_batch: int, encoding: Encoding) -> list[RawBatch]:
    """`raw_ride` cut into batches, as a watch sends it."""
    columns, dtype = raw_ride(count), "<i4" if encoding is Encoding.INT32 else "<f8"
    batches = []
    for seq, start in enumerate(range(0, count, per_batch), 1):
        end = min(start + per_batch, count)
        deltas = np.full(end - start, 1000, "<i4")
        deltas[0] = 0
        packed = tuple(
            RawColumn(channel, values[start:end].astype(dtype).tobytes())
            for channel, values in enumerate(columns)
        )
        batches.append(RawBatch(seq, START_MS + start * 1000, deltas.tobytes(), packed))
    return batches


def bits(flags: list[bool]) -> bytes:
    """The validity of a column, lowest bit first."""
    return np.packbits(np.array(flags, dtype=bool), bitorder="little").tobytes()
