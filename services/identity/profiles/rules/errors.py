"""What is wrong with a profile, or with a change of it."""

from __future__ import annotations

from typing import ClassVar


class UserNotFound(Exception):
    """There is no such person."""

    reason: ClassVar[str] = "USER_NOT_FOUND"


class DisplayNameInvalid(Exception):
    """The name cannot be shown."""

    reason: ClassVar[str] = "DISPLAY_NAME_INVALID"
    field = "display_name"


class AvatarUploadNotFound(Exception):
    """What should become the avatar never came whole, or is gone."""

    reason: ClassVar[str] = "AVATAR_UPLOAD_NOT_FOUND"
    field = "upload_id"


class AvatarUnreadable(Exception):
    """What was sent is no picture that can be drawn."""

    reason: ClassVar[str] = "AVATAR_UNREADABLE"


class AvatarTooLarge(Exception):
    """The picture would take too much memory to draw."""

    reason: ClassVar[str] = "AVATAR_TOO_LARGE"


class EtagMismatch(Exception):
    """It was changed meanwhile."""

    reason: ClassVar[str] = "ETAG_MISMATCH"


class BirthDateInvalid(Exception):
    """Nobody who lives was born on that day."""

    reason: ClassVar[str] = "BIRTH_DATE_INVALID"
    field = "profile.birth_date"


class TooYoung(Exception):
    """Somebody of that age may not agree to what is done with his data."""

    reason: ClassVar[str] = "TOO_YOUNG"
    field = "profile.birth_date"


class FieldInvalid(Exception):
    """A field of the request cannot be kept."""

    reason: ClassVar[str] = "INVALID_FIELD"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
