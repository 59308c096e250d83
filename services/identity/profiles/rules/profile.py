"""A profile, and what an update makes of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

from services.identity.profiles.rules.errors import (
    BirthDateInvalid,
    EtagMismatch,
    FieldInvalid,
    TooYoung,
)
from services.identity.profiles.rules.texts import (
    clean_display_name,
    clean_line,
    clean_tags,
    clean_text,
)
from services.identity.visibility.rules import Audience

LEAST_AGE_YEARS: Final = 16
"""Article 8 of the GDPR: below, a parent would have to consent."""
GREATEST_AGE_YEARS: Final = 120
LONGEST_BIO, LONGEST_CITY = 1_000, 100
MOST_SPORTS, MOST_INTERESTS = 20, 30


@dataclass(frozen=True, slots=True)
class PlayedSport:
    """A sport and how well somebody does it; both numbered as in the contract."""

    sport: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class Visibility:
    """Who sees each field. Whoever has not chosen shows what he wrote for others to read."""

    bio: Audience = Audience.EVERYONE
    sports: Audience = Audience.EVERYONE
    interests: Audience = Audience.FOLLOWERS
    city: Audience = Audience.FOLLOWERS
    goals: Audience = Audience.NOBODY
    birth_date: Audience = Audience.NOBODY
    sex: Audience = Audience.NOBODY
    height: Audience = Audience.NOBODY


VISIBLE: Final = tuple(each.name for each in fields(Visibility))
_VISIBILITY = "visibility"
_CHOICES: Final = tuple(f"{_VISIBILITY}.{each}" for each in VISIBLE)


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as it is stored."""

    user_id: uuid.UUID
    display_name: str
    bio: str
    version: int
    created_at: datetime
    updated_at: datetime
    avatar: str = ""
    """The part that the names of its files share; empty where there is none."""
    avatar_upload: uuid.UUID | None = None
    """Of which upload it was made."""
    card_version: int = 1
    """Counts the changes of the public card, each of which is published."""
    sports: tuple[PlayedSport, ...] = ()
    birth_date: date | None = None
    sex: int = 0
    """As in the contract; 0 where it was not told."""
    height_cm: float | None = None
    interests: tuple[str, ...] = ()
    city: str = ""
    visibility: Visibility = Visibility()

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return str(self.version)

    @property
    def card(self) -> tuple[str, str]:
        """What everyone who shows the person has a copy of."""
        return self.display_name, self.avatar

    def changed(self, etag: str, now: datetime, **values: Any) -> Profile:
        """The next version; itself where nothing changes.

        A repeat of a change whose answer was lost changes nothing, and is told so before its
        etag is looked at.

        Raises:
            EtagMismatch: `etag` is given and of another version.
        """
        after = replace(self, **values)
        if after == self:
            return self
        if etag and etag != self.etag:
            raise EtagMismatch
        card_version = self.card_version + (after.card != self.card)
        return replace(after, version=self.version + 1, card_version=card_version, updated_at=now)


def _once_each(sports: tuple[PlayedSport, ...]) -> tuple[PlayedSport, ...]:
    if len({each.sport for each in sports}) < len(sports):
        raise FieldInvalid("profile.sports", "names a sport twice")
    if len(sports) > MOST_SPORTS:
        raise FieldInvalid("profile.sports", f"more than {MOST_SPORTS}")
    return sports


def _tenths(height_cm: float | None) -> float | None:
    return None if height_cm is None else round(height_cm, 1)


_KEPT: Final[Mapping[str, Callable[[Profile], Any]]] = MappingProxyType(
    {
        "display_name": lambda wanted: clean_display_name(wanted.display_name),
        "bio": lambda wanted: clean_text("profile.bio", wanted.bio, LONGEST_BIO),
        "sports": lambda wanted: _once_each(wanted.sports),
        "birth_date": lambda wanted: wanted.birth_date,
        "sex": lambda wanted: wanted.sex,
        "height_cm": lambda wanted: _tenths(wanted.height_cm),
        "interests": lambda wanted: clean_tags(
            "profile.interests", wanted.interests, MOST_INTERESTS
        ),
        "city": lambda wanted: clean_line("profile.city", wanted.city, LONGEST_CITY),
    }
)
"""How each field is kept of what is wanted."""
CHANGEABLE: Final = frozenset({*_KEPT, _VISIBILITY, *_CHOICES})


def update(
    profile: Profile,
    wanted: Profile,
    names: Collection[str],
    etag: str,
    now: datetime,
    least_age_years: int = LEAST_AGE_YEARS,
) -> Profile:
    """The profile with the named fields taken from `wanted`; itself where nothing changes.

    An audience of `wanted` that is not specified stays as it is.

    Raises:
        EtagMismatch: `etag` is given and of another version.
        DisplayNameInvalid, BirthDateInvalid, TooYoung, FieldInvalid: a new value cannot be kept.
    """
    values = {name: kept(wanted) for name, kept in _KEPT.items() if name in names}
    born = values.get("birth_date")
    if born is not None and born != profile.birth_date:
        check_birth_date(born, now.date(), least_age_years)
    values[_VISIBILITY] = _chosen(profile.visibility, wanted.visibility, names)
    return profile.changed(etag, now, **values)


def _chosen(visibility: Visibility, wanted: Visibility, names: Collection[str]) -> Visibility:
    chosen = {
        each: audience
        for each in VISIBLE
        if _VISIBILITY in names or f"{_VISIBILITY}.{each}" in names
        if (audience := getattr(wanted, each)) != Audience.UNSPECIFIED
    }
    return replace(visibility, **chosen)


def age_years(born: date, today: date) -> int:
    """Whole years; who was born on 29 February is a year older on 1 March."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def check_birth_date(born: date, today: date, least_age_years: int) -> None:
    """Checks that somebody who was born that day lives, and may decide for himself.

    Raises:
        BirthDateInvalid, TooYoung
    """
    if born > today:
        raise BirthDateInvalid("it is in the future")
    age = age_years(born, today)
    if age > GREATEST_AGE_YEARS:
        raise BirthDateInvalid(f"it is more than {GREATEST_AGE_YEARS} years ago")
    if age < least_age_years:
        raise TooYoung(f"at least {least_age_years} years are needed")
