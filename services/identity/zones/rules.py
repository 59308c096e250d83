"""The rules of privacy zones: what one may be, what a repeat and an update are, how many."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final

from services.identity.profiles.rules.errors import EtagMismatch, FieldInvalid
from services.identity.profiles.rules.texts import clean_line

MOST_ZONES: Final = 10
"""A person's zones that are not deleted."""
LONGEST_NAME: Final = 60
USUAL_RADIUS_M: Final = 400
LEAST_RADIUS_M, GREATEST_RADIUS_M = 100, 2_000
REMEMBER_DELETED: Final = timedelta(days=30)
"""How long a deleted zone's id still answers repeats."""
CHANGEABLE: Final = frozenset({"display_name", "latitude_deg", "longitude_deg", "radius_m"})


class PrivacyZoneNotFound(Exception):
    """The person has no such zone."""

    reason: ClassVar[str] = "PRIVACY_ZONE_NOT_FOUND"


class TooManyPrivacyZones(Exception):
    """The person has as many zones as there may be."""

    reason: ClassVar[str] = "TOO_MANY_PRIVACY_ZONES"


class RequestIdReused(Exception):
    """The request id belongs to another zone."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"
    field = "request_id"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request says of a zone; degrees are WGS 84."""

    display_name: str
    latitude_deg: float | None
    longitude_deg: float | None
    radius_m: int

    @property
    def fingerprint(self) -> bytes:
        """32 bytes; two creations are the same request where it is the same."""
        return hashlib.sha256(repr(astuple(self)).encode()).digest()


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as it is stored."""

    user_id: uuid.UUID
    zone_id: uuid.UUID
    display_name: str
    latitude_deg: float
    longitude_deg: float
    radius_m: int
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        """`users/{user}/privacyZones/{zone}`."""
        return f"users/{self.user_id}/privacyZones/{self.zone_id}"

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return str(self.version)


@dataclass(frozen=True, slots=True)
class Record:
    """What is left of an earlier creation with the same id."""

    request_hash: bytes
    created_at: datetime
    zone: Zone | None
    """None where it was deleted; what it was asked to be is forgotten then."""


def created(user_id: uuid.UUID, zone_id: uuid.UUID, wanted: Wanted, now: datetime) -> Zone:
    """The zone that a request asks for.

    Raises:
        FieldInvalid: it has no middle, or a name that does not show.
    """
    if wanted.latitude_deg is None or wanted.longitude_deg is None:
        raise FieldInvalid("privacy_zone.latitude_deg", "latitude and longitude are needed")
    return Zone(
        user_id,
        zone_id,
        _name(wanted.display_name),
        wanted.latitude_deg,
        wanted.longitude_deg,
        _radius_m(wanted.radius_m),
        1,
        now,
        now,
    )


def repeated(wanted: Zone, request: Wanted, record: Record) -> Zone:
    """The answer to a repeat: the zone as it is now, or as it was made where it is deleted.

    Raises:
        RequestIdReused: the record is of another body.
    """
    if record.zone is None:
        return replace(wanted, created_at=record.created_at, updated_at=record.created_at)
    if record.request_hash != request.fingerprint:
        raise RequestIdReused("it was used for another zone")
    return record.zone


def update(zone: Zone, wanted: Wanted, names: Collection[str], etag: str, now: datetime) -> Zone:
    """The zone with the named fields taken from `wanted`; itself where nothing changes.

    Raises:
        EtagMismatch: `etag` is given and of another version.
        FieldInvalid: a new value cannot be kept.
    """
    after = zone
    if "display_name" in names:
        after = replace(after, display_name=_name(wanted.display_name))
    if "radius_m" in names:
        after = replace(after, radius_m=_radius_m(wanted.radius_m))
    for name in ("latitude_deg", "longitude_deg"):
        if name in names:
            degrees = getattr(wanted, name)
            if degrees is None:
                raise FieldInvalid(f"privacy_zone.{name}", "is to be said")
            after = replace(after, **{name: degrees})
    if after == zone:
        return zone
    if etag and etag != zone.etag:
        raise EtagMismatch
    return replace(after, version=zone.version + 1, updated_at=now)


def _name(name: str) -> str:
    return clean_line("privacy_zone.display_name", name, LONGEST_NAME)


def _radius_m(radius_m: int) -> int:
    found = radius_m or USUAL_RADIUS_M
    if not LEAST_RADIUS_M <= found <= GREATEST_RADIUS_M:
        raise FieldInvalid(
            "privacy_zone.radius_m", f"is not within {LEAST_RADIUS_M} and {GREATEST_RADIUS_M}"
        )
    return found
