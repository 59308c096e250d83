"""For whom an activity is."""

from __future__ import annotations

from enum import IntEnum


class Audience(IntEnum):
    """Numbered as in the contract, and as identity numbers its own."""

    UNSPECIFIED = 0
    """Its owner's default is not known yet: the owner alone."""
    EVERYONE = 1
    FOLLOWERS = 2
    """With close friends among them."""
    CLOSE_FRIENDS = 3
    NOBODY = 4
