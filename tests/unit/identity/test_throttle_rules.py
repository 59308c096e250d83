"""The rules of slowing down."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from services.identity.throttle import rules
from services.identity.throttle.flow import network_of
from services.identity.throttle.rules import ACCOUNT, Count, Verdict


def test_waits_double_up_to_the_longest_and_never_shrink() -> None:
    waits = [ACCOUNT.wait_s(failures) for failures in range(200)]
    assert waits[: ACCOUNT.free + 3] == [0, 0, 0, 0, 0, 1, 2, 4]
    assert max(waits) == ACCOUNT.longest_s
    assert all(earlier <= later for earlier, later in pairwise(waits))


def test_while_others_are_tried_nobody_passes_who_could_be_one_too_many() -> None:
    count, now = Count(failures=ACCOUNT.free - 2), 1_000
    for _ in range(2):
        count, verdict, _ = rules.begin(count, ACCOUNT, now)
        assert verdict is Verdict.GO
    assert rules.begin(count, ACCOUNT, now)[1] is Verdict.WAIT
    count = rules.failed(count, ACCOUNT, now)
    assert rules.begin(count, ACCOUNT, now)[1] is Verdict.WAIT
    count = rules.failed(count, ACCOUNT, now)
    assert rules.begin(count, ACCOUNT, now)[1:] == (Verdict.LATER, 1_000)
    assert rules.begin(count, ACCOUNT, now + 1_000)[1] is Verdict.GO


def test_no_order_of_events_lets_more_than_one_try_through_after_the_free_ones() -> None:
    dice = random.Random(4)
    for _ in range(300):
        count, now, under_way, failed = Count(), 0, 0, 0
        for _ in range(60):
            now += dice.choice((0, 10, 1_000, 5_000))
            if under_way and dice.random() < 0.5:
                count, under_way = rules.failed(count, ACCOUNT, now), under_way - 1
                failed += 1
                continue
            count, verdict, _ = rules.begin(count, ACCOUNT, now)
            under_way += verdict is Verdict.GO
            # A try that nobody told of is taken for failed after a while.
            held = count.trying
            if count.failures >= ACCOUNT.free:
                assert held <= 1
            else:
                assert count.failures + held <= ACCOUNT.free


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", ""),
        ("::1", ""),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_networks_are_counted_as_homes_are(address: str, counted: str) -> None:
    assert network_of(address) == counted
