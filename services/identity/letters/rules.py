"""The rules of letters: their kinds, when the next try is, when nobody tries any more.

Decides; knows no address and no words (`words`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

MOST_TRIES = 8
FIRST_AGAIN = timedelta(seconds=15)
"""After a first try that failed, or whose process was killed; then four times as long each."""
LONGEST_AGAIN = timedelta(hours=1)
DEAD_KEPT = timedelta(days=7)
MOST_DETAILS = 8
LONGEST_DETAIL = 120


class Kind(StrEnum):
    """What a letter says."""

    VERIFY_ADDRESS = "verify_address"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - no password
    UNLOCK_ACCOUNT = "unlock_account"
    ADDRESS_ADDED = "address_added"
    ADDRESS_REMOVED = "address_removed"
    PRIMARY_CHANGED = "primary_changed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - no password
    NEW_SIGN_IN = "new_sign_in"
    FACTOR_ADDED = "factor_added"
    FACTOR_REMOVED = "factor_removed"
    FACTORS_RESET_PLANNED = "factors_reset_planned"
    RECOVERY_CODE_USED = "recovery_code_used"
    EXPORT_READY = "export_ready"
    EXPORT_FAILED = "export_failed"
    ERASURE_PLANNED = "erasure_planned"
    ERASURE_CANCELLED = "erasure_cancelled"
    ERASURE_BEGUN = "erasure_begun"


WITH_CODE: Final = frozenset({Kind.VERIFY_ADDRESS, Kind.RESET_PASSWORD, Kind.UNLOCK_ACCOUNT})
"""Letters that carry a code; it is made as they are sent."""


class LetterInvalid(ValueError):
    """A letter that cannot be asked for: a mistake of the caller's."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter to be asked for."""

    kind: Kind
    user_id: uuid.UUID
    address_id: uuid.UUID | None = None
    """Which address; None for the primary one of the moment of sending."""
    details: Mapping[str, str] = field(default_factory=dict)
    """A few words that it shows (`device`, `place`); never an address or a secret."""

    def __post_init__(self) -> None:
        """Refuses what has no bound."""
        if len(self.details) > MOST_DETAILS:
            raise LetterInvalid(f"more than {MOST_DETAILS} details")
        if any(len(each) > LONGEST_DETAIL for pair in self.details.items() for each in pair):
            raise LetterInvalid(f"a detail is longer than {LONGEST_DETAIL}")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter that this process is to send now."""

    user_id: uuid.UUID
    letter_id: uuid.UUID
    kind: Kind
    address_id: uuid.UUID | None
    details: Mapping[str, str]
    tries: int
    """This one included."""

    @property
    def is_given_up(self) -> bool:
        """Whether every try was had: the process of the last one was killed."""
        return self.tries > MOST_TRIES

    @property
    def is_last_try(self) -> bool:
        """Whether it is dead where this try fails."""
        return self.tries >= MOST_TRIES


@dataclass(frozen=True, slots=True)
class Addressee:
    """Where a letter goes, as of now."""

    address_id: uuid.UUID
    channel: str
    """`email` or `phone`."""
    address: str = field(repr=False)
    language: str
    """BCP 47; empty where the person has not said."""
