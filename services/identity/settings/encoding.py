"""Settings as messages, and back."""

from __future__ import annotations

import uuid
from dataclasses import fields
from typing import Any

from palestra.identity.v1 import settings_pb2
from services.identity.profiles.rules import FieldInvalid
from services.identity.settings.rules.notifications import Channel, Choices, Kind, QuietHours
from services.identity.settings.rules.settings import Settings, Units
from services.identity.visibility.rules import Audience

_UNITS = tuple(each.name for each in fields(Units))


def settings(told: Settings) -> settings_pb2.Settings:
    """Settings."""
    message = settings_pb2.Settings(
        name=f"users/{told.user_id}/settings",
        language=told.language,
        units=settings_pb2.Units(**{name: _number(getattr(told.units, name)) for name in _UNITS}),
        time_zone=told.time_zone,
        first_day_of_week=_number(told.first_day_of_week),
        theme=_number(told.theme),
        notifications=choices(told.notifications),
        quiet_hours=quiet_hours(told.quiet_hours),
        default_activity_audience=_number(told.default_activity_audience),
        etag=told.etag,
    )
    if told.updated_at is not None:
        message.update_time.FromDatetime(told.updated_at)
    return message


def choices(told: Choices) -> list[settings_pb2.NotificationChoice]:
    """A choice for each kind."""
    return [
        settings_pb2.NotificationChoice(
            kind=_number(kind), **{channel.value: channel in channels for channel in Channel}
        )
        for kind, channels in sorted(told.items())
    ]


def quiet_hours(told: QuietHours | None) -> settings_pb2.QuietHours | None:
    """A time of day."""
    if told is None:
        return None
    return settings_pb2.QuietHours(
        from_minute=told.from_minute,
        to_minute=told.to_minute,
        days=[_number(each) for each in told.days],
    )


def audience(told: Audience) -> Any:
    """For whom something is; the owner alone where he has not chosen."""
    return _number(told or Audience.NOBODY)


def wanted(user_id: uuid.UUID, message: settings_pb2.Settings) -> Settings:
    """What an update asks for.

    Raises:
        FieldInvalid: a kind of notifications is named twice.
    """
    quiet = message.quiet_hours
    return Settings(
        user_id,
        language=message.language,
        units=Units(*(getattr(message.units, name) for name in _UNITS)),
        time_zone=message.time_zone,
        first_day_of_week=message.first_day_of_week,
        theme=message.theme,
        notifications=_choices(message),
        quiet_hours=QuietHours(quiet.from_minute, quiet.to_minute, tuple(sorted(quiet.days)))
        if message.HasField("quiet_hours")
        else None,
        default_activity_audience=Audience(message.default_activity_audience),
    )


def _choices(message: settings_pb2.Settings) -> Choices:
    found: dict[Kind, frozenset[Channel]] = {}
    for each in message.notifications:
        kind = Kind(each.kind)
        if kind in found:
            raise FieldInvalid("settings.notifications", f"names {kind.name} twice")
        found[kind] = frozenset(channel for channel in Channel if getattr(each, channel.value))
    return found


def _number(value: int) -> Any:
    """An enum's number, which the stubs take for another type."""
    return int(value)
