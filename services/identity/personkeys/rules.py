"""What the key of a person is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import ClassVar

KEY_BYTES = 32


class UserNotFound(Exception):
    """There is no such person, or no more."""

    reason: ClassVar[str] = "USER_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A person's AES-256 key."""

    user_id: uuid.UUID
    key_id: uuid.UUID
    secret: bytes = field(repr=False)


def place(user_id: uuid.UUID, key_id: uuid.UUID) -> str:
    """What the sealed key is bound to."""
    return f"person-key/{user_id}/{key_id}"
