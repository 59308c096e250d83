"""Examples that look like sport: made from each schema, always the same.

Owns the table of what a field of a name is usually like. An example is within the bounds
of its schema, which a test checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.openapi.scalars import Schema

_PREFIX = "#/components/schemas/"
USER = "01a1fc35-15ba-8f17-801f-0918e6669f0f"
ACTIVITY = "07309460-61c8-4c3d-8179-b6f11b2ad1c5"
_IDS = {
    "user": "me",
    "activity": ACTIVITY,
    "device": "0190b6f0-4a3c-7d2e-9f10-6b1de5ab3c57",
    "goal": "5d1f0c52-7c0a-8b1e-9a41-1d2f0a6c7e90",
    "zone": "8a3e51d7-0b4f-8c62-9d15-6e7f3a2b1c04",
}
_IN_NAMES = {**_IDS, "user": USER}
_NAME = re.compile(r"`([a-z]+/\{[a-z_/{}]+\}[a-z/]*)`")
_TOKEN = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9…"  # noqa: S105

_BY_NAME: Mapping[str, Any] = {
    "languageCode": "ru",
    "sha256": "1778fc8bbbf3eef3a7bab821360e7eecd5aa840f4ba798746963b19988b9d499",
    "certificateId": "0190b6f0-0000-7000-8000-000000000001",
    "uploadId": "0190b6f0-0000-7000-8000-000000000001",
    "email": "vera@example.com",
    "password": "correct horse battery",
    "phone": "+79123456789",
    "newPassword": "staple horse battery",
    "currentPassword": "correct horse battery",
    "deviceToken": "q83vASNFZ4mrze8BI0VniQ",
    "language": "en",
    "country": "RU",
    "displayName": "Vera",
    "accessToken": _TOKEN,
    "refreshToken": "AaH8qPNYhJSACeXxpZ7u0QGh",
    "expiresIn": 900,
    "bio": "Runs before breakfast.",
    "city": "Saint Petersburg",
    "timeZone": "Europe/London",
    "fromMinute": 1380,
    "toMinute": 420,
    "radiusM": 400,
    "interest": "trail running",
    "heightCm": 168.5,
    "weightKg": 58.0,
    "eventName": "White Nights Marathon",
    "title": "Morning run",
    "notes": "Wet, and worth it.",
    "etag": "3",
    "pageSize": 20,
    "pageToken": "",
    "nextPageToken": "",
    "filter": "sport = SPORT_RUNNING",
    "orderBy": "start_time desc",
    "readMask": "name,title,summary.distanceM",
    "requestId": "5f0c1c0e-3a52-4d0e-8a43-0d8b1f6f0b9e",
    "manufacturer": "Garmin",
    "model": "Forerunner 965",
    "serialNumber": "3434182947",
    "channel": "HEART_RATE",
    "unit": "bpm",
    "formula": "summary/1",
    "sampleCount": "14408",
    "activityCount": "3",
    "clockOffsetMs": "-120",
    "utcOffsetS": 10800,
    "startTimeMs": "1790000000000",
    "latitudeDeg": 59.9386,
    "longitudeDeg": 30.3141,
    "year": 2026,
    "month": 6,
    "day": 14,
    "ascentM": 88.0,
    "descentM": 85.0,
    "movingS": 1764.0,
    "startOffsetS": 0.0,
    "min": 92.0,
    "average": 150.0,
    "max": 177.0,
    "maxHeartRateBpm": 177.0,
    "maxPowerW": 349.0,
    "maxSpeedMps": 4.2,
    "averagePaceSPerKm": 327.6,
    "paceSPerKm": 327.6,
    "altitudeM": 14.0,
    "state": "ACTIVITY_STATE_FINISHED",
    "code": 5,
    "currencyCode": "EUR",
    "units": "19",
    "nanos": 990000000,
    "resolution": 1000,
}
# Where a message means something else than others of its kind do.
_WHOLE: Mapping[str, Any] = {"birthDate": {"year": 1990, "month": 5, "day": 17}}
# What is a number elsewhere.
_TEXTS: Mapping[str, str] = {"code": "48151623"}
_BY_END: Mapping[str, float] = {
    "M": 5495.0,
    "S": 1800.0,
    "Bpm": 150.0,
    "W": 253.8,
    "Rpm": 84.0,
    "Mps": 3.05,
    "PerKm": 327.6,
    "Kj": 1270.0,
}
_START, _END = "2026-06-14T05:30:00Z", "2026-06-14T06:00:00Z"


class Examples:
    """Makes examples of schemas that may refer to components."""

    def __init__(self, components: Mapping[str, Schema]) -> None:
        self._components = components

    def of(self, schema: Schema, name: str = "", above: tuple[str, ...] = ()) -> Any:
        """An example of a schema; `name` is the field's, lowerCamel."""
        if "$ref" in schema:
            return self._referred(schema, name, above)
        if "example" in schema:
            return schema["example"]
        if "enum" in schema:
            return _of_enum(schema, name)
        return self._made(schema, name, above)

    def _made(self, schema: Schema, name: str, above: tuple[str, ...]) -> Any:
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema, name, above)
        if kind == "array":
            one = self.of(schema["items"], name.removesuffix("s"), above)
            return [] if one is None else [one]
        if kind == "string":
            return _string(schema, name)
        return _plain(schema, name, kind)

    def _referred(self, schema: Schema, name: str, above: tuple[str, ...]) -> Any:
        called = schema["$ref"].removeprefix(_PREFIX)
        if "not" in schema:
            return self.of({**self._components[called], "not": schema["not"]}, name, above)
        if (
            name in _WHOLE
            and _WHOLE[name].keys() == self._components[called].get("properties", {}).keys()
        ):
            return _WHOLE[name]
        # A message inside itself ends the example there.
        return (
            None if called in above else self.of(self._components[called], name, (*above, called))
        )

    def _object(self, schema: Schema, name: str, above: tuple[str, ...]) -> Any:
        made = {
            each: self.of(inner, each, above)
            for each, inner in schema.get("properties", {}).items()
            if each not in _others(schema)
        }
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and more:
            made["HEART_RATE"] = self.of(more, name, above)
        return {key: value for key, value in made.items() if value is not None}


def of_path(name: str) -> str:
    """An example of a path parameter."""
    return _IDS.get(name, ACTIVITY)


def _others(schema: Schema) -> set[str]:
    """The fields of each choice but its first."""
    shut: set[str] = set()
    for name, told in schema.get("dependentSchemas", {}).items():
        if name not in shut:
            shut |= told["properties"].keys()
    return shut


def _of_enum(schema: Schema, name: str) -> Any:
    refused = schema.get("not", {}).get("enum", ())
    values = [each for each in schema["enum"] if each not in refused]
    if _BY_NAME.get(name) in values:
        return _BY_NAME[name]
    # The first value of a whole enum is the unspecified one.
    return values[0 if refused else min(1, len(values) - 1)]


def _string(schema: Schema, name: str) -> Any:
    kind = schema.get("format")
    if kind == "date-time":
        return _END if name.startswith("end") else _START
    if "contentEncoding" in schema:
        return "AAAAAAAA8D8="
    named = _NAME.search(schema.get("description", ""))
    if named and name not in _BY_NAME:
        return re.sub(r"\{([a-z_]+)\}", lambda m: _IN_NAMES.get(m[1], ACTIVITY), named[1])
    if kind in ("int64", "uint64"):
        return _BY_NAME.get(name, "1200")
    if name == "updateMask":
        quoted = re.findall(r"`([a-zA-Z]+)`", schema.get("description", ""))
        return ",".join(quoted) or "displayName"
    return _TEXTS.get(name) or _BY_NAME.get(name, "3.5s" if "pattern" in schema else name or "text")


def _plain(schema: Schema, name: str, kind: Any) -> Any:
    if kind == "boolean":
        return True
    if kind not in ("integer", "number"):
        return None
    ends = [end for end in _BY_END if name.endswith(end)]
    value: float = _BY_NAME.get(name, _BY_END[max(ends, key=len)] if ends else 1)
    if "maximum" in schema:
        value = min(value, schema["maximum"])
    if "minimum" in schema:
        value = max(value, schema["minimum"])
    return int(value) if kind == "integer" else value
