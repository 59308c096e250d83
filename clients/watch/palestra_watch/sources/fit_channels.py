"""A record's fields -> channels of raw values.

Owns the names and scales of FIT's fields, as its profile has them, and those of
developers' own fields, as their descriptions have them. Never computes a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from garmin_fit_sdk import Profile
from garmin_fit_sdk import fit as base_types

from palestra_watch.recording import MAX_CHANNELS, Channel, SourceError, packed

_FIELDS: Mapping[str, Any] = {
    each["name"]: each
    for each in Profile["messages"][Profile["mesg_num"]["RECORD"]]["fields"].values()
}
_SEMICIRCLES = 180 / 2**31
# Ours, its unit, and FIT's fields for it: the first that a record has.
_WELL_KNOWN = (
    ("HEART_RATE", "bpm", ("heart_rate",)),
    ("POWER", "W", ("power",)),
    ("CADENCE", "rpm", ("cadence",)),
    ("SPEED", "m/s", ("enhanced_speed", "speed")),
    ("DISTANCE", "m", ("distance",)),
    ("LATITUDE", "deg", ("position_lat",)),
    ("LONGITUDE", "deg", ("position_long",)),
    ("ALTITUDE", "m", ("enhanced_altitude", "altitude")),
    ("TEMPERATURE", "degC", ("temperature",)),
)
_TAKEN = {name for _, _, names in _WELL_KNOWN for name in names} | {"timestamp", "rr"}
_RESERVED = {name for name, _, _ in _WELL_KNOWN} | {"RR_INTERVAL"}
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9 _.:/%()-]")

Value = float | int | None
Read = Callable[[Mapping[Any, Any]], Value]


@dataclass(frozen=True, slots=True)
class Row:
    """One record, or one beat, of a file."""

    time_ms: int
    fields: dict[Any, Any]
    """By FIT's names, raw; developers' own under `developer_fields`."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    unit: str
    scale: float
    offset: float
    read: Read


def columns_of(
    rows: list[Row], descriptions: list[Mapping[Any, Any]]
) -> tuple[npt.NDArray[np.int64], tuple[Channel, ...], list[str]]:
    """The times, the channels that have a value, and what was left out and why.

    Raises:
        SourceError: no channel has any value.
    """
    fields = [*_well_known(), *_native(rows), *_developer(descriptions)]
    channels: list[Channel] = []
    left_out = _unreadable(rows, descriptions)
    for each in fields:
        values = [each.read(row.fields) for row in rows]
        if all(value is None for value in values):
            continue
        try:
            raw, valid = packed(values)
        except ValueError as error:
            left_out.append(f"the field '{each.name}' is left out: {error}")
            continue
        channels.append(Channel(each.name, each.unit, each.scale, each.offset, raw, valid))
    if not channels:
        raise SourceError("its samples have times but no values")
    left_out += [
        f"the field '{each.name}' is left out: more than {MAX_CHANNELS} channels"
        for each in channels[MAX_CHANNELS:]
    ]
    times = np.array([row.time_ms for row in rows], dtype=np.int64)
    return times, tuple(channels[:MAX_CHANNELS]), left_out


def _well_known() -> list[_Field]:
    fields = []
    for name, unit, sources in _WELL_KNOWN:
        scale, offset = _scale_of(_FIELDS[sources[0]])
        if unit == "deg":
            scale = _SEMICIRCLES
        fields.append(_Field(name, unit, scale, offset, _first_of(sources)))
    # FIT counts intervals in 1/1000 s.
    return [*fields, _Field("RR_INTERVAL", "s", 1 / 1000, 0.0, _first_of(("rr",)))]


def _native(rows: list[Row]) -> list[_Field]:
    """The other fields that FIT's profile names; its unnamed ones mean nothing to us."""
    present = {key for row in rows for key in row.fields if key in _FIELDS}
    fields = []
    for name in sorted(present - _TAKEN):
        units = _FIELDS[name]["units"]
        unit = units[0] if isinstance(units, list) else units
        scale, offset = _scale_of(_FIELDS[name])
        fields.append(_Field(name, unit, scale, offset, _first_of((name,))))
    return fields


def _developer(descriptions: list[Mapping[Any, Any]]) -> list[_Field]:
    used = set(_RESERVED) | set(_FIELDS)
    fields = []
    for description in descriptions:
        name = _allowed(_text(description.get("field_name")), used)
        used.add(name)
        scale = description.get("scale")
        offset = description.get("offset")
        fields.append(
            _Field(
                name,
                _text(description.get("units"))[:32],
                1 / scale if isinstance(scale, int) and scale not in (0, 0xFF) else 1.0,
                -float(offset) if isinstance(offset, int) and offset != 0x7F else 0.0,
                _developer_value(description["key"], description.get("fit_base_type_id")),
            )
        )
    return fields


def _scale_of(profile: Mapping[str, Any]) -> tuple[float, float]:
    return 1 / profile["scale"][0], -float(profile["offset"][0])


def _first_of(names: tuple[str, ...]) -> Read:
    def read(fields: Mapping[Any, Any]) -> Value:
        for name in names:
            if (value := number(fields.get(name))) is not None:
                return value
        return None

    return read


def _developer_value(key: int, base_type: object) -> Read:
    definitions: Mapping[Any, Any] = base_types.BASE_TYPE_DEFINITIONS
    invalid = definitions.get(base_type, {}).get("invalid")

    def read(fields: Mapping[Any, Any]) -> Value:
        value = number(fields.get("developer_fields", {}).get(key))
        # The decoder leaves developers' invalid values as they are.
        return None if value == invalid else value

    return read


def number(value: object) -> Value:
    """The value if it is one number, and a number at all."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: object) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return value if isinstance(value, str) else ""


def _allowed(name: str, used: set[str]) -> str:
    clean = _NOT_ALLOWED.sub("_", name).strip() or "field"
    clean = (clean if clean[0].isalnum() else f"x{clean}")[:60]
    candidate, number_of = clean, 2
    while candidate in used:
        candidate, number_of = f"{clean[:58]}.{number_of}", number_of + 1
    return candidate


def _unreadable(rows: list[Row], descriptions: list[Mapping[Any, Any]]) -> list[str]:
    names: dict[Any, str] = {each["key"]: _text(each.get("field_name")) for each in descriptions}
    lists = {key for row in rows for key, value in row.fields.items() if isinstance(value, list)}
    own = {
        names.get(key, str(key))
        for row in rows
        for key, value in row.fields.get("developer_fields", {}).items()
        if isinstance(value, list | str)
    }
    named = sorted(key for key in lists if key in _FIELDS) + sorted(own)
    return [f"the field '{name}' is left out: it is not one number" for name in named]
