"""Settings: what was chosen, what an update makes of it, and what is shown where nothing was."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from services.identity.profiles.rules.errors import EtagMismatch
from services.identity.settings.rules import notifications
from services.identity.settings.rules.errors import TimeZoneUnknown
from services.identity.settings.rules.locales import Locale, clean_language, usual_of
from services.identity.settings.rules.notifications import Choices, QuietHours
from services.identity.visibility.rules import Audience

CHANGEABLE: Final = frozenset(
    {
        "language",
        "units",
        "time_zone",
        "first_day_of_week",
        "theme",
        "notifications",
        "quiet_hours",
        "default_activity_audience",
    }
)
THEME_SYSTEM: Final = 1
KnowsZone = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Units:
    """Numbered as in the contract; 0 is as the system has it."""

    system: int = 0
    distance: int = 0
    height: int = 0
    weight: int = 0
    temperature: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person has chosen; empty or 0 where he has not."""

    user_id: uuid.UUID
    version: int = 0
    told: int = 0
    """How often others were told that settings or privacy zones had changed."""
    updated_at: datetime | None = None
    language: str = ""
    units: Units = Units()
    time_zone: str = ""
    first_day_of_week: int = 0
    theme: int = 0
    notifications: Choices = field(default_factory=dict)
    quiet_hours: QuietHours | None = None
    default_activity_audience: Audience = Audience.UNSPECIFIED

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return str(self.version)


def update(
    settings: Settings,
    wanted: Settings,
    names: Collection[str],
    etag: str,
    now: datetime,
    knows_zone: KnowsZone,
) -> Settings:
    """The settings with the named fields taken from `wanted`; themselves where nothing changes.

    Raises:
        EtagMismatch: `etag` is given and of another version.
        LanguageUnsupported, TimeZoneUnknown, NotificationMandatory, FieldInvalid
    """
    values: dict[str, Any] = {name: getattr(wanted, name) for name in names}
    if values.get("language"):
        values["language"] = clean_language(wanted.language)
    if values.get("time_zone") and not knows_zone(wanted.time_zone):
        raise TimeZoneUnknown(f"{wanted.time_zone!r} is no name of the IANA database")
    if "notifications" in values:
        values["notifications"] = notifications.chosen(settings.notifications, wanted.notifications)
    if values.get("quiet_hours") is not None:
        notifications.check_quiet_hours(values["quiet_hours"])
    after = replace(settings, **values)
    if after == settings:
        return settings
    if etag and etag != settings.etag:
        raise EtagMismatch
    return replace(after, version=settings.version + 1, updated_at=now)


def shown(settings: Settings, locale: Locale) -> Settings:
    """The settings with what is usual wherever nothing was chosen.

    What he chose since says more than what he registered with.
    """
    usual = usual_of(settings.language or locale.language, locale.country)
    units = settings.units
    if not units.system:
        distance = units.distance or usual.distance_unit
        units = replace(units, system=usual.unit_system, distance=distance)
    return replace(
        settings,
        language=settings.language or usual.language,
        units=units,
        time_zone=settings.time_zone or usual.time_zone,
        first_day_of_week=settings.first_day_of_week or usual.first_day_of_week,
        theme=settings.theme or THEME_SYSTEM,
        notifications={**notifications.USUAL, **settings.notifications},
        default_activity_audience=settings.default_activity_audience or Audience.NOBODY,
    )
