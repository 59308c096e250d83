"""For whom something is, what a viewer is to its owner, and whether he sees it by that.

Decides that a block wins over everything, and that where nothing is known the answer is no.
"""

from __future__ import annotations

import enum


class Audience(enum.IntEnum):
    """For whom something is; numbered as in the contract."""

    UNSPECIFIED = 0
    EVERYONE = 1
    FOLLOWERS = 2
    """With close friends among them."""
    CLOSE_FRIENDS = 3
    NOBODY = 4
    GROUPS = 5
    """Those who are in a group with the owner. Nobody tells of groups yet, so: nobody else."""


class Standing(enum.IntEnum):
    """What a viewer is to an owner. The numbers are no order."""

    SELF = 1
    BLOCKED = 2
    """Either blocks the other."""
    CLOSE_FRIEND = 3
    FOLLOWER = 4
    REQUESTED = 5
    """Asked to follow; sees no more than a stranger."""
    STRANGER = 6


_SEEN_BY = {
    Audience.EVERYONE: frozenset(Standing) - {Standing.BLOCKED},
    Audience.FOLLOWERS: frozenset({Standing.SELF, Standing.CLOSE_FRIEND, Standing.FOLLOWER}),
    Audience.CLOSE_FRIENDS: frozenset({Standing.SELF, Standing.CLOSE_FRIEND}),
}
_OWN = frozenset({Standing.SELF})


def sees(what: Standing, audience: Audience) -> bool:
    """Whether who is that to the owner sees what the owner has for an audience."""
    return what in _SEEN_BY.get(audience, _OWN)
