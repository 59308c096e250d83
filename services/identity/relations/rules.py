"""The rules of relations: what one person may make of another.

Decides that a block ends whatever was between two people and wins over everything; that
who is blocked hears what he would hear of a person that is not there.
"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final

from services.identity.profiles.rules import UserNotFound
from services.identity.visibility.rules import Standing

MOST_FOLLOWING: Final = 10_000
"""People that one follows, or has asked to follow."""
MOST_REQUESTS: Final = 10_000
"""Requests to follow one person that wait for his answer."""
MOST_BLOCKS: Final = 5_000
MOST_MUTES: Final = 5_000
MOST_CLOSE_FRIENDS: Final = 1_000
KEPT_EMPTY: Final = timedelta(days=30)
"""So long whoever keeps a copy may be away and still hear that a pair has ended."""


class RelationToSelf(Exception):
    """Nobody follows, blocks or mutes himself."""

    reason: ClassVar[str] = "RELATION_TO_SELF"


class PersonBlocked(Exception):
    """One blocks whom he wants to follow or trust."""

    reason: ClassVar[str] = "PERSON_BLOCKED"


class FollowRequestNotFound(Exception):
    """The person does not ask to follow."""

    reason: ClassVar[str] = "FOLLOW_REQUEST_NOT_FOUND"


class TooManyRelations(Exception):
    """One has as many of that kind as there may be."""

    reason: ClassVar[str] = "TOO_MANY_RELATIONS"


class TooManyFollowRequests(Exception):
    """More people ask to follow somebody than he can be asked by."""

    reason: ClassVar[str] = "TOO_MANY_FOLLOW_REQUESTS"


@dataclass(frozen=True, slots=True)
class Side:
    """What one person made of another: since when, None where it is not so."""

    followed_at: datetime | None = None
    requested_at: datetime | None = None
    blocked_at: datetime | None = None
    muted_at: datetime | None = None
    mute_until: datetime | None = None
    """When a mute ends by itself; None where it does not."""
    close_at: datetime | None = None

    @property
    def empty(self) -> bool:
        """Whether he made nothing of him."""
        return self == _NOTHING

    def mutes(self, now: datetime) -> bool:
        """Whether he does not want to see him at that time."""
        return self.muted_at is not None and (self.mute_until is None or now < self.mute_until)


_NOTHING = Side()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people, as the first of them has them."""

    mine: Side = field(default_factory=Side)
    theirs: Side = field(default_factory=Side)

    def turned(self) -> Pair:
        """The same, as the second has them."""
        return Pair(self.theirs, self.mine)

    @property
    def empty(self) -> bool:
        """Whether there is nothing between them."""
        return self.mine.empty and self.theirs.empty

    @property
    def blocked(self) -> bool:
        """Whether either blocks the other."""
        return self.mine.blocked_at is not None or self.theirs.blocked_at is not None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many a person has of each."""

    following: int = 0
    followers: int = 0
    requested: int = 0
    """Whom he asked."""
    requests: int = 0
    """Who asked him."""
    blocks: int = 0
    mutes: int = 0
    close_friends: int = 0

    def after(self, before: Pair, changed: Pair) -> Counts:
        """The counts when one of his pairs became another."""
        then, now = _counted(before), _counted(changed)
        return Counts(
            *(
                getattr(self, name) + after - first
                for name, first, after in zip(self.__slots__, then, now, strict=True)
            )
        )


def _counted(pair: Pair) -> tuple[bool, ...]:
    mine, theirs = pair.mine, pair.theirs
    return (
        mine.followed_at is not None,
        theirs.followed_at is not None,
        mine.requested_at is not None,
        theirs.requested_at is not None,
        mine.blocked_at is not None,
        mine.muted_at is not None,
        mine.close_at is not None,
    )


@dataclass(frozen=True, slots=True)
class Person:
    """One side's account of himself."""

    user_id: uuid.UUID
    version: int = 0
    """How often a pair in which he is has changed."""
    approval: bool = True
    """Whether he wants to be asked by who would follow him."""
    counts: Counts = field(default_factory=Counts)


class Bonds(enum.IntFlag):
    """What of a pair decides who sees what: of the first of it, as a viewer, to the second."""

    NONE = 0
    BLOCKED = 1
    """Either blocks the other."""
    CLOSE = 2
    """The second trusts the first."""
    FOLLOWS = 4
    REQUESTED = 8
    MUTES = 16
    """Does not want to see him now."""


_STANDING = tuple(
    Standing.BLOCKED
    if bits & Bonds.BLOCKED
    else Standing.CLOSE_FRIEND
    if bits & Bonds.CLOSE
    else Standing.FOLLOWER
    if bits & Bonds.FOLLOWS
    else Standing.REQUESTED
    if bits & Bonds.REQUESTED
    else Standing.STRANGER
    for bits in range(32)
)


def standing_of(bonds: int) -> Standing:
    """What a viewer is to an owner, by the bits of `Bonds`."""
    return _STANDING[bonds]


def standing(pair: Pair) -> Standing:
    """What the first of a pair, as a viewer, is to the second."""
    return standing_of(
        Bonds.BLOCKED * pair.blocked
        | Bonds.CLOSE * (pair.theirs.close_at is not None)
        | Bonds.FOLLOWS * (pair.mine.followed_at is not None)
        | Bonds.REQUESTED * (pair.mine.requested_at is not None)
    )


def _reachable(pair: Pair) -> None:
    """Who is blocked is told what he is told of nobody; who blocks is told that he does."""
    if pair.theirs.blocked_at is not None:
        raise UserNotFound
    if pair.mine.blocked_at is not None:
        raise PersonBlocked


def _room(count: int, most: int) -> None:
    if count >= most:
        raise TooManyRelations(f"at most {most} are possible")


def follow(me: Person, other: Person, pair: Pair, now: datetime) -> Pair:
    """Follows at once, or asks where the other wants to be asked; a repeat changes nothing.

    Raises:
        UserNotFound, PersonBlocked, TooManyRelations, TooManyFollowRequests
    """
    _reachable(pair)
    mine = pair.mine
    if mine.followed_at is not None or (mine.requested_at is not None and other.approval):
        return pair
    if mine.requested_at is None:
        _room(me.counts.following + me.counts.requested, MOST_FOLLOWING)
    if not other.approval:
        return replace(pair, mine=replace(mine, followed_at=now, requested_at=None))
    if other.counts.requests >= MOST_REQUESTS:
        raise TooManyFollowRequests
    return replace(pair, mine=replace(mine, requested_at=now))


def unfollow(_me: Person, _other: Person, pair: Pair, _now: datetime) -> Pair:
    """Follows and asks no more."""
    return replace(pair, mine=replace(pair.mine, followed_at=None, requested_at=None))


def approve(_me: Person, _other: Person, pair: Pair, now: datetime) -> Pair:
    """Lets who asked follow; a repeat changes nothing.

    Raises:
        FollowRequestNotFound
    """
    if pair.theirs.followed_at is not None:
        return pair
    if pair.theirs.requested_at is None:
        raise FollowRequestNotFound
    return replace(pair, theirs=replace(pair.theirs, followed_at=now, requested_at=None))


def decline(_me: Person, _other: Person, pair: Pair, _now: datetime) -> Pair:
    """Takes a request away; nothing where there is none, or none any more."""
    return replace(pair, theirs=replace(pair.theirs, requested_at=None))


def remove_follower(_me: Person, _other: Person, pair: Pair, _now: datetime) -> Pair:
    """Ends another's following; he is no close friend any more either."""
    theirs = replace(pair.theirs, followed_at=None, requested_at=None)
    return Pair(replace(pair.mine, close_at=None), theirs)


def block(me: Person, _other: Person, pair: Pair, now: datetime) -> Pair:
    """Blocks, and ends following and trust both ways. Also who blocks already can be blocked.

    Raises:
        TooManyRelations
    """
    if pair.mine.blocked_at is not None:
        return pair
    _room(me.counts.blocks, MOST_BLOCKS)
    mine, theirs = (
        replace(side, followed_at=None, requested_at=None, close_at=None)
        for side in (pair.mine, pair.theirs)
    )
    return Pair(replace(mine, blocked_at=now), theirs)


def unblock(_me: Person, _other: Person, pair: Pair, _now: datetime) -> Pair:
    """Blocks no more. What the block ended stays ended."""
    return replace(pair, mine=replace(pair.mine, blocked_at=None))


def mute(
    me: Person, _other: Person, pair: Pair, now: datetime, until: datetime | None = None
) -> Pair:
    """Does not want to see another's things until then, or for good.

    Raises:
        UserNotFound, TooManyRelations
    """
    if pair.theirs.blocked_at is not None:
        raise UserNotFound
    mine = pair.mine
    if mine.muted_at is None:
        _room(me.counts.mutes, MOST_MUTES)
    elif mine.mute_until == until:
        return pair
    return replace(pair, mine=replace(mine, muted_at=mine.muted_at or now, mute_until=until))


def unmute(_me: Person, _other: Person, pair: Pair, _now: datetime) -> Pair:
    """Mutes no more."""
    return replace(pair, mine=replace(pair.mine, muted_at=None, mute_until=None))


def add_close_friend(me: Person, _other: Person, pair: Pair, now: datetime) -> Pair:
    """Makes another see what is for close friends. He need not follow, and is not told.

    Raises:
        UserNotFound, PersonBlocked, TooManyRelations
    """
    _reachable(pair)
    if pair.mine.close_at is not None:
        return pair
    _room(me.counts.close_friends, MOST_CLOSE_FRIENDS)
    return replace(pair, mine=replace(pair.mine, close_at=now))


def remove_close_friend(_me: Person, _other: Person, pair: Pair, _now: datetime) -> Pair:
    """Trusts no more."""
    return replace(pair, mine=replace(pair.mine, close_at=None))


def forget(_me: Person, _other: Person, _pair: Pair, _now: datetime) -> Pair:
    """Nothing is left between them: one of them is erased."""
    return Pair()
