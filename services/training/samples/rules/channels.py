"""What a session measures: the description of its columns.

Owns the well-known channels with their units and plausible ranges, and the check and
the fingerprint of a description. Decides whether a description is usable and whether
two of them mean the same. Never alters a measured value: the ranges are for those who
compute with the values, not for those who store them.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from services.training.samples.rules.errors import BatchMalformed

MAX_CHANNELS: Final = 64
MAX_UNIT_LENGTH: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:/%()-]{0,63}")


class Encoding(IntEnum):
    """How raw values are packed; the numbers are the contract's."""

    INT32 = 1
    FLOAT64 = 2

    @property
    def width(self) -> int:
        """Bytes of one raw value."""
        return 4 if self is Encoding.INT32 else 8

    @classmethod
    def of_contract(cls, number: int) -> Encoding:
        """The contract's number; unspecified (0) reads as INT32. ValueError for any other."""
        return cls(number or cls.INT32)


@dataclass(frozen=True, slots=True)
class CanonicalChannel:
    """A well-known channel. A value outside [low, high] is no measurement."""

    name: str
    unit: str
    low: float
    high: float


CANONICAL: Final[Mapping[str, CanonicalChannel]] = MappingProxyType(
    {
        channel.name: channel
        for channel in (
            # Straps send 0 for "no contact"; the fastest hearts on record beat near 300.
            CanonicalChannel("HEART_RATE", "bpm", 20.0, 300.0),
            CanonicalChannel("POWER", "W", -2_500.0, 5_000.0),
            CanonicalChannel("CADENCE", "rpm", 0.0, 300.0),
            CanonicalChannel("SPEED", "m/s", 0.0, 150.0),
            CanonicalChannel("DISTANCE", "m", 0.0, 10_000_000.0),
            CanonicalChannel("LATITUDE", "deg", -90.0, 90.0),
            CanonicalChannel("LONGITUDE", "deg", -180.0, 180.0),
            # The Dead Sea's shore to above the highest summit.
            CanonicalChannel("ALTITUDE", "m", -500.0, 10_000.0),
            CanonicalChannel("TEMPERATURE", "degC", -90.0, 90.0),
            CanonicalChannel("RR_INTERVAL", "s", 0.1, 5.0),
        )
    }
)
"""The contract's well-known channels by name."""


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One column of a session: value = raw * scale + offset."""

    name: str
    unit: str
    scale: float = 1.0
    offset: float = 0.0
    encoding: Encoding = Encoding.INT32


def check_description(channels: Sequence[ChannelSpec]) -> tuple[ChannelSpec, ...]:
    """The channels as they are stored: scale 0 read as 1, a well-known unit filled in.

    Raises BatchMalformed, with `field` like `channels[3].unit`, for a count out of
    1…64, a bad or repeated name, another unit on a well-known name, or a scale or
    offset that is not finite.
    """
    if not 1 <= len(channels) <= MAX_CHANNELS:
        raise BatchMalformed(
            f"a session has 1 to {MAX_CHANNELS} channels, not {len(channels)}", field="channels"
        )
    seen: dict[str, int] = {}
    checked = []
    for index, channel in enumerate(channels):
        if (first := seen.setdefault(channel.name, index)) != index:
            raise BatchMalformed(
                f"channels {first} and {index} are both named {channel.name!r}",
                field=f"channels[{index}].name",
            )
        checked.append(_check_channel(index, channel))
    return tuple(checked)


def _check_channel(index: int, channel: ChannelSpec) -> ChannelSpec:
    at = f"channels[{index}]"
    if _NAME.fullmatch(channel.name) is None:
        raise BatchMalformed(f"{channel.name!r} is no channel name", field=f"{at}.name")
    if len(channel.unit) > MAX_UNIT_LENGTH:
        raise BatchMalformed(f"the unit of {channel.name} is too long", field=f"{at}.unit")
    if not (math.isfinite(channel.scale) and math.isfinite(channel.offset)):
        raise BatchMalformed(
            f"the scale and offset of {channel.name} must be finite", field=f"{at}.scale"
        )
    unit = _unit_of(channel, at)
    return ChannelSpec(
        channel.name, unit, channel.scale or 1.0, channel.offset, Encoding(channel.encoding)
    )


def _unit_of(channel: ChannelSpec, at: str) -> str:
    canonical = CANONICAL.get(channel.name)
    if canonical is None:
        return channel.unit
    if channel.unit not in ("", canonical.unit):
        raise BatchMalformed(
            f"{channel.name} is measured in {canonical.unit}, not in {channel.unit!r}",
            field=f"{at}.unit",
        )
    return canonical.unit


def fingerprint(channels: Sequence[ChannelSpec]) -> bytes:
    """32 bytes that are equal for equal checked descriptions (SHA-256 of a fixed packing)."""
    digest = hashlib.sha256()
    for channel in channels:
        for text in (channel.name.encode(), channel.unit.encode()):
            digest.update(struct.pack("<I", len(text)) + text)
        digest.update(struct.pack("<ddB", channel.scale, channel.offset, channel.encoding))
    return digest.digest()
