"""What people may make of each other, and who sees what by that."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.identity.profiles.rules import UserNotFound
from services.identity.relations import rules
from services.identity.relations.rules import Counts, Pair, Person, Side
from services.identity.visibility.rules import Audience, Standing, sees

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ME, OTHER = Person(uuid.UUID(int=1)), Person(uuid.UUID(int=2))
OPEN = replace(OTHER, approval=False)
SEES = {
    Standing.SELF: set(Audience),
    Standing.BLOCKED: set(),
    Standing.CLOSE_FRIEND: {Audience.EVERYONE, Audience.FOLLOWERS, Audience.CLOSE_FRIENDS},
    Standing.FOLLOWER: {Audience.EVERYONE, Audience.FOLLOWERS},
    Standing.REQUESTED: {Audience.EVERYONE},
    Standing.STRANGER: {Audience.EVERYONE},
}
RULES = (
    *(rules.follow, rules.unfollow, rules.approve, rules.decline, rules.remove_follower),
    *(rules.block, rules.unblock, rules.mute, rules.unmute),
    *(rules.add_close_friend, rules.remove_close_friend, rules.forget),
)
_SIDES = [
    Side(**dict.fromkeys(names, NOW))
    for count in range(3)
    for names in itertools.combinations(
        ("followed_at", "requested_at", "blocked_at", "muted_at", "close_at"), count
    )
]


def sound(pair: Pair) -> bool:
    """Whether neither follows, asks or trusts where either blocks; nobody follows and asks."""
    sides = (pair.mine, pair.theirs)
    if any(side.followed_at and side.requested_at for side in sides):
        return False
    return not pair.blocked or not any(
        side.followed_at or side.requested_at or side.close_at for side in sides
    )


PAIRS = [pair for pair in itertools.starmap(Pair, itertools.product(_SIDES, _SIDES)) if sound(pair)]


@pytest.mark.parametrize("audience", Audience)
@pytest.mark.parametrize("standing", Standing)
def test_who_is_what_to_the_owner_sees_what(standing: Standing, audience: Audience) -> None:
    assert sees(standing, audience) == (audience in SEES[standing])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
@pytest.mark.parametrize("other", [OTHER, OPEN], ids=["asks", "open"])
def test_a_rule_repeated_changes_nothing_and_none_leaves_trust_beside_a_block(
    rule: Callable[..., Pair], other: Person
) -> None:
    for pair in PAIRS:
        try:
            once = rule(ME, other, pair, NOW)
        except (UserNotFound, rules.PersonBlocked, rules.FollowRequestNotFound):
            continue
        assert sound(once), pair
        assert rule(ME, other, once, NOW + timedelta(hours=1)) == once
        counts = [Counts().after(Pair(), each) for each in (pair, once)]
        assert counts[0].after(pair, once) == counts[1]


@pytest.mark.parametrize("pair", PAIRS)
def test_deny_wins_over_everything(pair: Pair) -> None:
    if pair.blocked:
        assert rules.standing(pair) is Standing.BLOCKED
        assert rules.standing(pair.turned()) is Standing.BLOCKED


def test_what_the_blocked_may_not_know_he_is_not_told_and_who_blocks_is() -> None:
    blocked = Pair(theirs=Side(blocked_at=NOW))
    for rule in (rules.follow, rules.add_close_friend, rules.mute):
        with pytest.raises(UserNotFound):
            rule(ME, OPEN, blocked, NOW)
    for rule in (rules.follow, rules.add_close_friend):
        with pytest.raises(rules.PersonBlocked):
            rule(ME, OPEN, blocked.turned(), NOW)
    assert rules.block(ME, OTHER, blocked, NOW).mine.blocked_at == NOW


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        (rules.follow, Counts(following=9_000, requested=1_000)),
        (rules.block, Counts(blocks=5_000)),
        (rules.mute, Counts(mutes=5_000)),
        (rules.add_close_friend, Counts(close_friends=1_000)),
    ],
)
def test_there_are_not_more_than_there_may_be(rule: Callable[..., Pair], counts: Counts) -> None:
    with pytest.raises(rules.TooManyRelations):
        rule(replace(ME, counts=counts), OTHER, Pair(), NOW)


def test_nobody_is_asked_by_more_than_he_can_answer() -> None:
    asked = replace(OTHER, counts=Counts(requests=rules.MOST_REQUESTS))
    with pytest.raises(rules.TooManyFollowRequests):
        rules.follow(ME, asked, Pair(), NOW)


def test_who_stops_being_a_follower_stops_being_a_close_friend() -> None:
    pair = Pair(mine=Side(close_at=NOW), theirs=Side(followed_at=NOW))
    assert rules.remove_follower(ME, OTHER, pair, NOW).empty
