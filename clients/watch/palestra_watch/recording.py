"""What was measured in one session, whatever it came from.

Owns the shape: raw values in columns, with the scale that makes them
measurements. Decides nothing about sending, and rounds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from google.protobuf.timestamp_pb2 import Timestamp

from palestra.training.v1 import sport_pb2, telemetry_pb2

INT32 = telemetry_pb2.ENCODING_INT32
FLOAT64 = telemetry_pb2.ENCODING_FLOAT64
MAX_CHANNELS = 64

Raw = npt.NDArray[np.int32] | npt.NDArray[np.float64]


class SourceError(Exception):
    """What was given holds nothing that can be sent; its words say why."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A column: value = raw * scale + offset."""

    name: str
    unit: str
    scale: float
    offset: float
    raw: Raw
    """Little-endian, one for each sample, those without a value included (as 0)."""
    valid: npt.NDArray[np.bool_]

    @property
    def encoding(self) -> telemetry_pb2.Encoding.ValueType:
        """How the raw values travel."""
        return INT32 if self.raw.dtype == np.dtype("<i4") else FLOAT64

    def values(self) -> npt.NDArray[np.float64]:
        """The measurements; NaN where nothing was measured."""
        return np.where(self.valid, self.raw * self.scale + self.offset, np.nan)


@dataclass(frozen=True, slots=True)
class Recording:
    """One session: a run, a ride, a leg of a triathlon."""

    label: str
    """What it is called on the screen."""
    sport: sport_pb2.Sport.ValueType
    start_time_ms: int
    """By the device's clock, in ms since 1970."""
    utc_offset_s: int | None
    time_ms: npt.NDArray[np.int64]
    """Of each sample, by the device's clock, in ms since 1970, in the device's order."""
    channels: tuple[Channel, ...]
    summary: telemetry_pb2.DeviceSummary
    """What the device itself made of it."""
    remarks: tuple[str, ...] = field(default=())
    """What was wrong with the source, or was left out."""

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(self.time_ms)

    def channel(self, name: str) -> Channel:
        """The channel of that name.

        Raises:
            KeyError: it was not measured.
        """
        return self.by_name()[name]

    def by_name(self) -> Mapping[str, Channel]:
        """The channels by their names."""
        return {each.name: each for each in self.channels}

    def description(self) -> telemetry_pb2.SessionDescription:
        """What an Open says of it."""
        described = telemetry_pb2.SessionDescription(
            sport=self.sport,
            start_time=timestamp(self.start_time_ms),
            utc_offset_s=self.utc_offset_s,
        )
        for each in self.channels:
            described.channels.add(
                name=each.name,
                unit=each.unit,
                scale=each.scale,
                offset=each.offset,
                encoding=each.encoding,
            )
        return described


def timestamp(time_ms: int) -> Timestamp:
    """Ms since 1970 as a Timestamp."""
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)


def packed(values: list[float | int | None]) -> tuple[Raw, npt.NDArray[np.bool_]]:
    """Raw values as the narrowest column that holds each of them exactly.

    Raises:
        ValueError: an integer is too large for a double to hold exactly.
    """
    valid = np.array([value is not None for value in values], dtype=np.bool_)
    present = [value for value in values if value is not None]
    if any(isinstance(value, int) and abs(value) > 2**53 for value in present):
        raise ValueError("an integer of more than 53 bits")
    whole = all(isinstance(value, int) and -(2**31) <= value < 2**31 for value in present)
    filled = [0 if value is None else value for value in values]
    return np.array(filled, dtype="<i4" if whole else "<f8"), valid
