"""Goals as messages, and back."""

from __future__ import annotations

from typing import Any

from palestra.identity.v1 import goal_service_pb2 as pb
from services.identity.goals.rules import Goal, Kind, State, Target, Wanted
from services.identity.profiles.encoding import date_message, day_of, timestamp
from services.identity.profiles.rules import FieldInvalid


def goal(told: Goal) -> pb.Goal:
    """A goal."""
    message = pb.Goal(
        name=told.name,
        title=told.title,
        state=_number(told.state),
        create_time=timestamp(told.created_at),
        update_time=timestamp(told.updated_at),
        etag=told.etag,
    )
    inside = getattr(message, told.target.kind.name.lower())
    inside.SetInParent()
    for field in inside.DESCRIPTOR.fields:
        value = getattr(told.target, field.name)
        if value is not None:
            setattr(inside, field.name, value)
    if told.target_date is not None:
        message.target_date.CopyFrom(date_message(told.target_date))
    if told.achieved_at is not None:
        message.achieve_time.FromDatetime(told.achieved_at)
    return message


def wanted(message: pb.Goal) -> Wanted:
    """What a request says of a goal.

    Raises:
        FieldInvalid: its day is none of the calendar.
    """
    day = day_of(message.target_date) if message.HasField("target_date") else None
    if day is None and message.HasField("target_date"):
        raise FieldInvalid("goal.target_date", "year, month and day of the calendar are needed")
    return Wanted(_target(message), message.title, day, State(message.state))


def _target(message: pb.Goal) -> Target | None:
    which = message.WhichOneof("target")
    if which is None:
        return None
    inside = getattr(message, which)
    told: dict[str, Any] = {
        field.name: getattr(inside, field.name)
        for field in inside.DESCRIPTOR.fields
        if not field.has_presence or inside.HasField(field.name)
    }
    return Target(Kind[which.upper()], **told)


def _number(value: int) -> Any:
    """An enum's number, which the stubs take for another type."""
    return value
