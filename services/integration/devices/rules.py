"""The rules of devices: what may be registered, what a repeat is, how many there may be."""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import ClassVar, Final

MOST_DEVICES: Final = 50
"""A person's devices that are not deleted."""
LONGEST_TEXT: Final = 60
REMEMBER_DELETED: Final = timedelta(days=30)
"""How long a deleted device's id still answers repeats."""


class DeviceNotFound(Exception):
    """The person never had such a device."""

    reason: ClassVar[str] = "DEVICE_NOT_FOUND"


class TooManyDevices(Exception):
    """The person has as many devices as there may be."""

    reason: ClassVar[str] = "TOO_MANY_DEVICES"


class RequestIdReused(Exception):
    """The request id belongs to another registration."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"
    field = "request_id"


class TextInvalid(Exception):
    """A text cannot be shown."""

    reason: ClassVar[str] = "INVALID_FIELD"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"device.{field}: {why}")
        self.field = f"device.{field}"


class Kind(IntEnum):
    """What a device is; the numbers are the contract's."""

    UNSPECIFIED = 0
    WATCH = 1
    BIKE_COMPUTER = 2
    PHONE = 3
    SENSOR = 4
    TRAINER = 5


@dataclass(frozen=True, slots=True)
class Description:
    """What a person says of a device."""

    display_name: str
    kind: Kind
    manufacturer: str
    model: str
    serial_number: str

    @property
    def fingerprint(self) -> bytes:
        """32 bytes; two registrations are the same request where it is the same."""
        texts = (self.display_name, self.manufacturer, self.model, self.serial_number)
        # Lengths keep the fields apart, whatever is in them.
        joined = "".join(f"{len(text)}:{text}" for text in (str(int(self.kind)), *texts))
        return hashlib.sha256(joined.encode()).digest()


@dataclass(frozen=True, slots=True)
class Device:
    """A registered device."""

    user_id: uuid.UUID
    device_id: uuid.UUID
    description: Description
    created_at: datetime

    @property
    def name(self) -> str:
        """`users/{user}/devices/{device}`."""
        return f"users/{self.user_id}/devices/{self.device_id}"


@dataclass(frozen=True, slots=True)
class Record:
    """What is left of an earlier registration with the same id."""

    request_hash: bytes
    created_at: datetime


def described(
    display_name: str, kind: int, manufacturer: str, model: str, serial_number: str
) -> Description:
    """A description with clean texts.

    Raises:
        TextInvalid: a text is too long or does not show, or the name is empty.
    """
    name = _clean("display_name", display_name)
    if not name:
        raise TextInvalid("display_name", "is empty")
    return Description(
        name,
        Kind(kind),
        _clean("manufacturer", manufacturer),
        _clean("model", model),
        _clean("serial_number", serial_number),
    )


def repeated(wanted: Device, record: Record) -> Device:
    """The answer to a repeat: the device as it was registered, deleted since or not.

    The body is the same as then, so that the texts need not be kept after a deletion.

    Raises:
        RequestIdReused: the record is of another body.
    """
    if record.request_hash != wanted.description.fingerprint:
        raise RequestIdReused("it was used for another device")
    return Device(wanted.user_id, wanted.device_id, wanted.description, record.created_at)


def _clean(field: str, text: str) -> str:
    """The text in NFC, with single spaces."""
    cleaned = " ".join(unicodedata.normalize("NFC", text).split())
    if len(cleaned) > LONGEST_TEXT:
        raise TextInvalid(field, f"is longer than {LONGEST_TEXT} characters")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs") for character in cleaned):
        raise TextInvalid(field, "has characters that do not show")
    return cleaned
