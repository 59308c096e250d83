"""Languages, and what is usual where they are spoken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.identity.settings.rules.errors import LanguageUnsupported

LANGUAGES: Final = ("en", "ru")
"""What Palestra's texts are written in."""
_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}))?")
_METRIC, _IMPERIAL, _MILE = 1, 2, 2
MONDAY, SATURDAY, SUNDAY = 1, 6, 7
# Of CLDR's supplemental data, weekData and measurementData.
_BEGIN_ON_SUNDAY = frozenset(
    {"US", "CA", "MX", "BR", "CO", "PE", "VE", "IL", "SA", "IN", "JP", "KR", "PH", "TW", "HK", "ZA"}
)
_BEGIN_ON_SATURDAY = frozenset(
    {"AE", "DZ", "EG", "IR", "IQ", "JO", "KW", "LY", "OM", "QA", "SD", "SY"}
)
_IMPERIAL_COUNTRIES = frozenset({"US", "LR", "MM"})
_COUNTRY_OF = MappingProxyType({"ru": "RU"})
# Where nearly everyone of a country lives; others choose.
_ZONES = MappingProxyType(
    {
        "RU": "Europe/Moscow",
        "BY": "Europe/Minsk",
        "KZ": "Asia/Almaty",
        "AM": "Asia/Yerevan",
        "GE": "Asia/Tbilisi",
        "GB": "Europe/London",
        "IE": "Europe/Dublin",
        "DE": "Europe/Berlin",
        "FR": "Europe/Paris",
        "IN": "Asia/Kolkata",
    }
)


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for a locale; numbers are the contract's."""

    language: str
    unit_system: int
    distance_unit: int
    time_zone: str
    first_day_of_week: int


@dataclass(frozen=True, slots=True)
class Locale:
    """What a person registered with; empty where he did not say."""

    language: str = ""
    """BCP 47."""
    country: str = ""
    """ISO 3166-1 alpha-2."""


def clean_language(tag: str) -> str:
    """A tag in its usual form, `en-GB`, without a script.

    Raises:
        LanguageUnsupported: it is no tag, or of a language that nothing is written in.
    """
    language, country = _parts(tag)
    if language not in LANGUAGES:
        raise LanguageUnsupported(f"one of {', '.join(LANGUAGES)} is needed")
    return f"{language}-{country}" if country else language


def usual_of(tag: str, told_country: str = "") -> Usual:
    """What is usual for a language and a country, whatever was sent as such.

    The country of the tag says more than the one that was told beside it.
    """
    language, country = _parts(tag)
    country = country or told_country or _COUNTRY_OF.get(language, "")
    spoken = language if language in LANGUAGES else LANGUAGES[0]
    first_day = MONDAY
    if country in _BEGIN_ON_SUNDAY:
        first_day = SUNDAY
    elif country in _BEGIN_ON_SATURDAY:
        first_day = SATURDAY
    return Usual(
        language=f"{spoken}-{country}" if language == spoken and country else spoken,
        unit_system=_IMPERIAL if country in _IMPERIAL_COUNTRIES else _METRIC,
        distance_unit=_MILE if country == "GB" else 0,
        time_zone=_ZONES.get(country, "UTC"),
        first_day_of_week=first_day,
    )


def _parts(tag: str) -> tuple[str, str]:
    """Language and country of a tag; empty where it is none."""
    found = _TAG.fullmatch(tag)
    if found is None:
        return "", ""
    return found[1].lower(), (found[3] or "").upper()
