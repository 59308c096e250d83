"""Profiles as messages, and back."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any, Final, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from palestra.identity.v1 import events_pb2, profile_pb2
from palestra.identity.v1 import profile_service_pb2 as pb
from services.identity import events
from services.identity.profiles.flow import Card
from services.identity.profiles.rules import BirthDateInvalid, PlayedSport, Profile, Visibility
from services.identity.profiles.rules.profile import VISIBLE
from services.identity.visibility.rules import Audience, Standing

_NEVER: Final = datetime.fromtimestamp(0, UTC)


class Pictures(Protocol):
    """Knows where pictures are."""

    def uris(self, profile: Profile) -> tuple[str, ...]:
        """Where the avatar's files are, the larger first; none where there is no avatar."""


def profile(
    told: Profile, pictures: Pictures, what: Standing = Standing.SELF
) -> profile_pb2.Profile:
    """A profile; what says when and for whom it was changed is its owner's alone."""
    message = profile_pb2.Profile(
        name=f"users/{told.user_id}",
        display_name=told.display_name,
        bio=told.bio,
        sports=[_played(each) for each in told.sports],
        sex=_number(told.sex),
        height_cm=told.height_cm,
        interests=told.interests,
        city=told.city,
    )
    if told.avatar:
        message.avatar_uri, message.avatar_small_uri = pictures.uris(told)
    if told.birth_date is not None:
        message.birth_date.CopyFrom(date_message(told.birth_date))
    if what is Standing.SELF:
        message.create_time.FromDatetime(told.created_at)
        message.update_time.FromDatetime(told.updated_at)
        message.etag = told.etag
        for each in VISIBLE:
            setattr(message.visibility, each, int(getattr(told.visibility, each)))
    return message


def wanted(user_id: uuid.UUID, message: profile_pb2.Profile) -> Profile:
    """What an update asks for.

    Raises:
        BirthDateInvalid: it is no day of the calendar.
    """
    born = None
    if message.HasField("birth_date"):
        born = day_of(message.birth_date)
        if born is None:
            raise BirthDateInvalid("year, month and day of the calendar are needed")
    return Profile(
        user_id,
        message.display_name,
        message.bio,
        0,
        _NEVER,
        _NEVER,
        sports=tuple(PlayedSport(each.sport, each.level) for each in message.sports),
        birth_date=born,
        sex=message.sex,
        height_cm=message.height_cm if message.HasField("height_cm") else None,
        interests=tuple(message.interests),
        city=message.city,
        visibility=Visibility(*(Audience(getattr(message.visibility, each)) for each in VISIBLE)),
    )


def card(told: Card) -> events_pb2.PublicCard:
    """A public card."""
    return events.card_of(*told)


def facts(told: Profile) -> pb.AthleteFacts:
    """What formulas ask for."""
    message = pb.AthleteFacts(sex=_number(told.sex), height_cm=told.height_cm)
    if told.birth_date is not None:
        message.birth_date.CopyFrom(date_message(told.birth_date))
    return message


def day_of(message: Date) -> date | None:
    """A whole day of the calendar; None where it is none."""
    try:
        return date(message.year, message.month, message.day)
    except ValueError:
        return None


def date_message(day: date) -> Date:
    """A day."""
    return Date(year=day.year, month=day.month, day=day.day)


def timestamp(at: datetime) -> Timestamp:
    """A moment."""
    message = Timestamp()
    message.FromDatetime(at)
    return message


def _played(each: PlayedSport) -> profile_pb2.PlayedSport:
    return profile_pb2.PlayedSport(sport=_number(each.sport), level=_number(each.level))


def _number(value: int) -> Any:
    """An enum's number, which the stubs take for another type."""
    return value
