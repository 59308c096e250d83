"""The rules of profiles: what may stand in one, what an update changes, who sees what."""

from services.identity.profiles.rules.avatars import with_avatar, without_avatar
from services.identity.profiles.rules.errors import (
    AvatarTooLarge,
    AvatarUnreadable,
    AvatarUploadNotFound,
    BirthDateInvalid,
    DisplayNameInvalid,
    EtagMismatch,
    FieldInvalid,
    TooYoung,
    UserNotFound,
)
from services.identity.profiles.rules.profile import (
    CHANGEABLE,
    LEAST_AGE_YEARS,
    PlayedSport,
    Profile,
    Visibility,
    update,
)
from services.identity.profiles.rules.seen import seen_by
from services.identity.profiles.rules.texts import clean_display_name

__all__ = [
    "CHANGEABLE",
    "LEAST_AGE_YEARS",
    "AvatarTooLarge",
    "AvatarUnreadable",
    "AvatarUploadNotFound",
    "BirthDateInvalid",
    "DisplayNameInvalid",
    "EtagMismatch",
    "FieldInvalid",
    "PlayedSport",
    "Profile",
    "TooYoung",
    "UserNotFound",
    "Visibility",
    "clean_display_name",
    "seen_by",
    "update",
    "with_avatar",
    "without_avatar",
]
