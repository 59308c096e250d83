"""The rules of consents: which text counts, what may be agreed to, what is still to be asked.

Decides; reads no text, no clock and no row. A version whose text says something new makes
older agreements count no more (`asks_anew`); one that says the same in other words does not.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from functools import cached_property
from typing import ClassVar, Final

MOST_RECORDS: Final = 1_000
"""Of a person's history. Beyond it nothing can be given, and everything be taken back."""
ANSWER_LIVES_S: Final = 60
"""How long services may keep what CheckConsents answered."""
LANGUAGES: Final = ("en", "ru")
Place = tuple[datetime, int, int]
"""Where a record stands in a person's history: when, its revision, the purpose."""


class ConsentTextUnknown(Exception):
    """There is no such version in this language, or its text is another."""

    reason: ClassVar[str] = "CONSENT_TEXT_UNKNOWN"


class ConsentOutdated(Exception):
    """It is not the version of today."""

    reason: ClassVar[str] = "CONSENT_OUTDATED"


class ConsentNeeded(Exception):
    """There is no account without it."""

    reason: ClassVar[str] = "CONSENT_NEEDED"

    def __init__(self) -> None:
        super().__init__("there is no account without it: RequestErasure erases the account")
        self.metadata = {"instead": "/palestra.identity.v1.ErasureService/RequestErasure"}


class ConsentNotFound(Exception):
    """There is no such purpose, or nothing was ever said to it."""

    reason: ClassVar[str] = "CONSENT_NOT_FOUND"


class ConsentMissing(Exception):
    """Somebody signs up without what is needed."""

    reason: ClassVar[str] = "CONSENT_MISSING"

    def __init__(self, purposes: Iterable[Purpose]) -> None:
        missing = ", ".join(each.slug for each in sorted(purposes))
        super().__init__(f"needed: {missing}")
        self.metadata = {"purposes": missing}


class ConsentChangedTooOften(Exception):
    """The history is full."""

    reason: ClassVar[str] = "CONSENT_CHANGED_TOO_OFTEN"


class RequestIdReused(Exception):
    """The request id belongs to a request for something else."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"
    field = "request_id"


class UserNotFound(Exception):
    """There is no such person."""

    reason: ClassVar[str] = "USER_NOT_FOUND"


class Purpose(IntEnum):
    """What people are asked to agree to; the numbers are the contract's."""

    TERMS = 1
    PRIVACY_NOTICE = 2
    HEALTH_DATA = 3
    LOCATION = 4
    MARKETING_EMAIL = 5
    MARKETING_PUSH = 6
    MARKETING_SMS = 7
    PARTNER_SHARING = 8
    ANALYTICS = 9
    PROCESSING_RU = 10
    CROSS_BORDER_RU = 11

    @property
    def slug(self) -> str:
        """As resource names have it: `health-data`."""
        return self.name.lower().replace("_", "-")


def purpose_of(slug: str) -> Purpose:
    """Of a resource name's part.

    Raises:
        ConsentNotFound
    """
    for each in Purpose:
        if each.slug == slug:
            return each
    raise ConsentNotFound


@dataclass(frozen=True, slots=True)
class Text:
    """A text in one language."""

    language: str
    title: str
    text: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """One version of what a purpose says."""

    version: int
    effective_at: datetime
    asks_anew: bool
    """Whether who agreed to an older one is asked again."""
    texts: Mapping[str, Text]
    """By language: all of `LANGUAGES`."""


@dataclass(frozen=True)
class Asked:
    """A purpose, and all versions that it ever had or will have."""

    purpose: Purpose
    required: bool
    countries: frozenset[str]
    """Where people live who are asked; empty for everybody."""
    legal_basis: str
    documents: Sequence[Document]
    """By version, from 1 on."""

    @cached_property
    def by_version(self) -> Mapping[int, Document]:
        """Each by its number."""
        return {each.version: each for each in self.documents}

    def applies(self, countries: frozenset[str]) -> bool:
        """Whether somebody is asked who lives in one of these countries."""
        return not self.countries or bool(self.countries & countries)

    def current(self, now: datetime) -> Document | None:
        """Today's version; None where the first is still to come."""
        begun = [each for each in self.documents if each.effective_at <= now]
        return begun[-1] if begun else None

    def valid_from(self, now: datetime) -> int:
        """The oldest version that still counts."""
        counted = [d.version for d in self.documents if d.asks_anew and d.effective_at <= now]
        return max(counted, default=1)


@dataclass(frozen=True, slots=True)
class Agreed:
    """Which text somebody says that he had before him."""

    purpose: Purpose
    version: int
    language: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """How somebody said it: as little as proves it."""

    client: str
    session_id: uuid.UUID | None
    """None where it was part of signing up."""
    device: str = ""
    network: str = field(default="", repr=False)
    """Never an address."""


NOTHING_KNOWN: Final = Evidence("", None)


@dataclass(frozen=True, slots=True)
class Held:
    """What somebody says to a purpose now."""

    user_id: uuid.UUID
    purpose: Purpose
    given: bool
    version: int
    changed_at: datetime
    record_id: uuid.UUID
    revision: int


@dataclass(frozen=True, slots=True)
class Record:
    """What somebody did once."""

    user_id: uuid.UUID
    purpose: Purpose
    record_id: uuid.UUID
    revision: int
    given: bool
    version: int
    language: str
    sha256: bytes
    at: datetime
    evidence: Evidence


@dataclass(frozen=True)
class Catalogue:
    """All purposes."""

    asked: Mapping[Purpose, Asked]

    def of(self, countries: frozenset[str]) -> list[Asked]:
        """What people of some countries are asked, in the order of the purposes."""
        return [each for _, each in sorted(self.asked.items()) if each.applies(countries)]

    def counts(self, held: Held | None, now: datetime) -> bool:
        """Whether somebody agrees to a version that still counts."""
        if held is None or not held.given:
            return False
        return held.version >= self.asked[held.purpose].valid_from(now)

    def check(self, texts: Sequence[Agreed], now: datetime) -> list[Agreed]:
        """What somebody agrees to, in the order of the purposes, where all of it is today's.

        Raises:
            ConsentTextUnknown, ConsentOutdated
        """
        if len({each.purpose for each in texts}) != len(texts):
            raise ConsentTextUnknown("a purpose is named twice")
        for each in texts:
            self._check(each, now)
        return sorted(texts, key=lambda each: each.purpose)

    def _check(self, agreed: Agreed, now: datetime) -> None:
        asked = self.asked[agreed.purpose]
        known, current = asked.by_version.get(agreed.version), asked.current(now)
        text = known.texts.get(agreed.language) if known else None
        if known is None or current is None or known.version > current.version:
            raise ConsentTextUnknown(f"{agreed.purpose.slug} has no version {agreed.version}")
        if text is None or text.sha256 != agreed.sha256:
            raise ConsentTextUnknown(f"{agreed.purpose.slug}: the text is another")
        if known.version < current.version:
            raise ConsentOutdated(f"{agreed.purpose.slug} is at version {current.version}")

    def missing(
        self, held: Iterable[Purpose], countries: frozenset[str], now: datetime
    ) -> set[Purpose]:
        """What there is no account without and is not among these."""
        wanted = {e.purpose for e in self.of(countries) if e.required and e.current(now)}
        return wanted - set(held)

    def needed(
        self, held: Mapping[Purpose, Held], countries: frozenset[str], now: datetime
    ) -> list[Asked]:
        """What somebody is to be asked at once."""
        counted = [purpose for purpose, each in held.items() if self.counts(each, now)]
        return [self.asked[each] for each in sorted(self.missing(counted, countries, now))]

    def outdated(
        self, held: Mapping[Purpose, Held], countries: frozenset[str], now: datetime
    ) -> list[Asked]:
        """What somebody may be asked anew: he agreed to what counts no more."""
        return [
            each
            for each in self.of(countries)
            if not each.required
            and (one := held.get(each.purpose)) is not None
            and one.given
            and not self.counts(one, now)
        ]

    def check_withdrawable(self, purpose: Purpose, countries: frozenset[str]) -> None:
        """Refuses what there is no account without.

        Raises:
            ConsentNeeded
        """
        asked = self.asked[purpose]
        if asked.required and asked.applies(countries):
            raise ConsentNeeded


def spoken(code: str) -> str:
    """`ru-RU` -> `ru`; what there are no texts in -> `en`."""
    language = code.lower().partition("-")[0]
    return language if language in LANGUAGES else LANGUAGES[0]


def countries_of(country: str, regions: Mapping[str, int], here: int) -> frozenset[str]:
    """Where somebody lives, as far as it is known; `regions` by country, `*` for all others.

    Whoever did not say it may live wherever people have their home in this region.
    """
    if country:
        return frozenset({country})
    return frozenset(each for each, region in regions.items() if region == here and each != "*")
