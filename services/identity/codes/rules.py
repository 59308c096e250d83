"""The rules of codes: what they are for, how long they live, how often one may guess.

Decides; never makes randomness, never reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

DIGITS = 8
MOST_GUESSES = 5
"""Wrong codes until the code is dead. With a letter an hour, 120 guesses a day of 10^8."""
LIFETIME = timedelta(minutes=30)
NEXT_LETTER_AFTER = timedelta(minutes=1)
LONGEST_UNTIL_NEXT_LETTER = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=1)
"""How long after the last letter the next one counts as the first again."""


class CodeWrong(Exception):
    """No such code, or not any more; which of the two is not said."""

    reason: ClassVar[str] = "CODE_WRONG"
    field = "code"


class Purpose(StrEnum):
    """What a code is for. One of another purpose does not serve."""

    VERIFY_ADDRESS = "verify_address"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - no password
    UNLOCK_ACCOUNT = "unlock_account"


@dataclass(frozen=True, slots=True)
class Guess:
    """What a code that was shown turned out to be."""

    is_right: bool
    was_used: bool
    """Whether it is right and had its effect: this is a repeat."""


def text_of(number: int) -> str:
    """A code as people read it: 8 digits."""
    return f"{number:0{DIGITS}d}"


def cleaned(shown: str) -> str:
    """A code however it was typed: with spaces, with a dash in the middle.

    Raises:
        CodeWrong: it is no code.
    """
    code = "".join(shown.split()).replace("-", "")
    if len(code) != DIGITS or not (code.isascii() and code.isdigit()):
        raise CodeWrong
    return code


def place_of(user_id: object, purpose: Purpose, address_id: object) -> str:
    """Where the hash of a code is kept: of another place it does not match."""
    return f"codes/{user_id}/{purpose.value}/{address_id}"


def expiry(now: datetime) -> datetime:
    """When a code that is made now is over."""
    return now + LIFETIME
