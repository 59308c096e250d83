"""What cannot be chosen."""

from __future__ import annotations

from typing import ClassVar


class LanguageUnsupported(Exception):
    """Nothing is written in this language."""

    reason: ClassVar[str] = "LANGUAGE_UNSUPPORTED"
    field = "settings.language"


class TimeZoneUnknown(Exception):
    """The IANA database has no such zone."""

    reason: ClassVar[str] = "TIME_ZONE_UNKNOWN"
    field = "settings.time_zone"


class NotificationMandatory(Exception):
    """What concerns the account's safety is told in any case."""

    reason: ClassVar[str] = "NOTIFICATION_MANDATORY"
    field = "settings.notifications"
