"""The rules of profiles: what may be a name, what an update changes."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

LONGEST_DISPLAY_NAME = 60
CHANGEABLE = frozenset({"display_name", "bio"})


class UserNotFound(Exception):
    """There is no such person."""

    reason: ClassVar[str] = "USER_NOT_FOUND"


class DisplayNameInvalid(Exception):
    """The name cannot be shown."""

    reason: ClassVar[str] = "DISPLAY_NAME_INVALID"
    field = "display_name"


class EtagMismatch(Exception):
    """The profile was changed meanwhile."""

    reason: ClassVar[str] = "ETAG_MISMATCH"


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as it is stored."""

    user_id: uuid.UUID
    display_name: str
    bio: str
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return str(self.version)


def clean_display_name(name: str) -> str:
    """The name in NFC, with single spaces.

    Raises:
        DisplayNameInvalid: it is empty, too long, or has characters that do not show.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not cleaned or len(cleaned) > LONGEST_DISPLAY_NAME:
        raise DisplayNameInvalid(f"1 to {LONGEST_DISPLAY_NAME} characters are needed")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs") for character in cleaned):
        raise DisplayNameInvalid("it has characters that do not show")
    return cleaned


def update(
    profile: Profile, wanted: Profile, fields: Collection[str], etag: str, now: datetime
) -> Profile:
    """The profile with `fields` taken from `wanted`; itself where nothing changes.

    Raises:
        EtagMismatch: `etag` is given and of another version.
        DisplayNameInvalid: the new name cannot be used.
    """
    if etag and etag != profile.etag:
        raise EtagMismatch
    name, bio = profile.display_name, profile.bio
    if "display_name" in fields:
        name = clean_display_name(wanted.display_name)
    if "bio" in fields:
        bio = wanted.bio
    if (name, bio) == (profile.display_name, profile.bio):
        return profile
    return replace(profile, display_name=name, bio=bio, version=profile.version + 1, updated_at=now)
