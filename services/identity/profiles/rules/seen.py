"""What is left of a profile for somebody else: the card, and what he is let see."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final

from services.identity.profiles.rules.profile import VISIBLE, Profile
from services.identity.visibility.rules import Standing, sees

_FIELDS: Final = {each: each for each in VISIBLE if each != "goals"} | {"height": "height_cm"}
_UNTOLD: Final = {
    each.name: each.default for each in fields(Profile) if each.name in _FIELDS.values()
} | {"bio": ""}


def seen_by(profile: Profile, what: Standing) -> Profile:
    """The profile with all that is hidden from a viewer as if it were not told."""
    hidden: dict[str, Any] = {
        name: _UNTOLD[name]
        for field, name in _FIELDS.items()
        if not sees(what, getattr(profile.visibility, field))
    }
    return replace(profile, **hidden)
