"""What a picture, or none, makes of a profile."""

from __future__ import annotations

import uuid
from datetime import datetime

from services.identity.profiles.rules.profile import Profile


def with_avatar(
    profile: Profile, avatar: str, upload: uuid.UUID, etag: str, now: datetime
) -> Profile:
    """The profile with a picture; itself where that upload is its picture already.

    Raises:
        EtagMismatch: `etag` is given and of another version.
    """
    if profile.avatar_upload == upload:
        return profile
    return profile.changed(etag, now, avatar=avatar, avatar_upload=upload)


def without_avatar(profile: Profile, etag: str, now: datetime) -> Profile:
    """The profile without a picture; itself where there is none.

    Raises:
        EtagMismatch: `etag` is given and of another version.
    """
    if not profile.avatar:
        return profile
    return profile.changed(etag, now, avatar="", avatar_upload=None)
