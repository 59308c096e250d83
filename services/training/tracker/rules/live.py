"""What a watcher sees of a batch: the newest of each well-known channel.

Owns the choice of the newest value. Decides nothing about who may see it, and reads
only one value per column, because it runs for every batch while somebody watches.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.training.samples.rules.batches import RawBatch, RawColumn
from services.training.samples.rules.channels import CANONICAL, ChannelSpec, Encoding

_SLOWEST_PACE_MPS: Final = 0.28
"""1 km/h: below it somebody stands, and a pace would be noise."""

_FORMATS: Final = {Encoding.INT32: struct.Struct("<i"), Encoding.FLOAT64: struct.Struct("<d")}


@dataclass(frozen=True, slots=True)
class LiveValues:
    """The newest of what a batch measured; a channel that it has not is None."""

    time_ms: int
    """Of the last sample, by the device's clock."""
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    altitude_m: float | None = None
    speed_mps: float | None = None
    pace_s_per_km: float | None = None
    heart_rate_bpm: float | None = None
    power_w: float | None = None
    cadence_rpm: float | None = None
    distance_m: float | None = None


_FIELDS: Final = {
    "LATITUDE": "latitude_deg",
    "LONGITUDE": "longitude_deg",
    "ALTITUDE": "altitude_m",
    "SPEED": "speed_mps",
    "HEART_RATE": "heart_rate_bpm",
    "POWER": "power_w",
    "CADENCE": "cadence_rpm",
    "DISTANCE": "distance_m",
}


def newest_values(batch: RawBatch, channels: Sequence[ChannelSpec]) -> LiveValues:
    """From a checked batch. A value outside its channel's plausible range is left out."""
    count = batch.samples
    values: dict[str, float] = {}
    for column in batch.columns:
        spec = channels[column.channel]
        field = _FIELDS.get(spec.name)
        if field is None:
            continue
        value = _newest(column, spec, count)
        if value is not None:
            values[field] = value
    if "latitude_deg" not in values or "longitude_deg" not in values:
        values.pop("latitude_deg", None)
        values.pop("longitude_deg", None)
    speed = values.get("speed_mps", 0.0)
    if speed >= _SLOWEST_PACE_MPS:
        values["pace_s_per_km"] = 1000.0 / speed
    deltas = memoryview(batch.time_deltas_ms).cast("i")
    return LiveValues(time_ms=batch.first_time_ms + sum(deltas), **values)


def _newest(column: RawColumn, spec: ChannelSpec, count: int) -> float | None:
    last = count - 1
    if column.validity:
        # Bits past the last sample mean nothing and are masked away.
        last = (int.from_bytes(column.validity, "little") & ((1 << count) - 1)).bit_length() - 1
        if last < 0:
            return None
    fmt = _FORMATS[spec.encoding]
    value = float(fmt.unpack_from(column.values, last * fmt.size)[0]) * spec.scale + spec.offset
    canonical = CANONICAL[spec.name]
    return value if canonical.low <= value <= canonical.high else None
