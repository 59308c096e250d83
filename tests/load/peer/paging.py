"""Page tokens of the peer: the last row of the page before, opaque."""

from __future__ import annotations

import base64
import binascii
import uuid
from datetime import UTC, datetime
from typing import NamedTuple

from fastapi import HTTPException

MOST = 100


class After(NamedTuple):
    """Where a page begins."""

    started_at: datetime
    activity_id: uuid.UUID


FIRST = After(datetime.max.replace(tzinfo=UTC), uuid.UUID(int=2**128 - 1))


def token(after: After) -> str:
    """As the client has it."""
    return base64.urlsafe_b64encode(
        f"{after.started_at.isoformat()} {after.activity_id}".encode()
    ).decode()


def parse(told: str) -> After:
    """What a client sent back.

    Raises:
        HTTPException: 400, it is none.
    """
    if not told:
        return FIRST
    try:
        at, _, activity = base64.urlsafe_b64decode(told).decode().partition(" ")
        return After(datetime.fromisoformat(at), uuid.UUID(activity))
    except (ValueError, binascii.Error) as error:
        raise HTTPException(400, "the page token is none of ours") from error


def stamp(at: datetime) -> str:
    """A time as protobuf's JSON has it: no fraction, milliseconds or microseconds."""
    at = at.astimezone(UTC)
    if not at.microsecond:
        return f"{at:%Y-%m-%dT%H:%M:%S}Z"
    return at.isoformat(
        timespec="microseconds" if at.microsecond % 1000 else "milliseconds"
    ).replace("+00:00", "Z")
