"""Signing keys: published before they sign, and after, while their tokens live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.runtime.settings import SettingsError
from services.identity.keys import rules
from services.identity.keys.rules import (
    LEAD,
    MOST_PUBLISHED,
    Change,
    KeysTooMany,
    KeyUnknown,
    Schedule,
    SigningKey,
    published,
    signer,
)
from services.identity.keys.settings import schedule_of

NOW = datetime(2026, 5, 1, tzinfo=UTC)
USUAL = Schedule()
HOUR = timedelta(hours=1)


class Keys:
    """The rows, changed as the store changes them, at a time of the test's own."""

    def __init__(self, schedule: Schedule = USUAL) -> None:
        self.schedule, self.now = schedule, NOW
        self.rows: list[SigningKey] = []
        self._names = count(1)

    def make(self, signs_at: datetime) -> SigningKey:
        return SigningKey(f"k{next(self._names)}", b"s", b"p", self.now, signs_at)

    def do(self, change: Change) -> Change:
        rows = {key.key_id: key for key in (*self.rows, *change.added)}
        for key_id, at in change.moved:
            rows[key_id] = replace(rows[key_id], signs_at=at)
        for key_id in change.withdrawn:
            rows[key_id] = replace(rows[key_id], withdrawn_at=self.now, secret=b"")
        for key_id in change.forgotten:
            del rows[key_id]
        self.rows = list(rows.values())
        return change

    def tend(self) -> Change:
        return self.do(rules.tend(self.rows, self.now, self.schedule, self.make))

    def turn(self, *, at_once: bool = False) -> Change:
        schedule = self.schedule
        return self.do(rules.turn(self.rows, self.now, schedule, self.make, at_once=at_once))

    def withdraw(self, *names: str) -> Change:
        return self.do(rules.withdraw(self.rows, names, self.now, self.schedule, self.make))

    def signer(self) -> SigningKey:
        found = signer(self.rows, self.now)
        assert found is not None
        return found

    def shown(self) -> set[str]:
        return {key.key_id for key in published(self.rows, self.now, self.schedule)}


@pytest.fixture
def keys() -> Keys:
    made = Keys()
    made.tend()
    return made


def test_the_first_key_signs_at_once_and_the_next_is_known_already(keys: Keys) -> None:
    assert keys.signer().key_id == "k1"
    assert keys.shown() == {"k1", "k2"}
    assert not keys.tend()


def test_without_keys_nobody_signs() -> None:
    assert signer([], NOW) is None
    assert published([], NOW, USUAL) == []


def test_keys_turn_by_the_clock_and_the_old_one_goes_when_its_tokens_are_over(keys: Keys) -> None:
    keys.now += USUAL.signs_for
    assert keys.signer().key_id == "k2"
    keys.tend()
    assert keys.shown() == {"k1", "k2", "k3"}
    keys.now += USUAL.after
    keys.tend()
    assert [key.key_id for key in keys.rows] == ["k2", "k3"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["hour", "day", "turn", "now", "withdraw", "tend"]), max_size=40))
def test_whatever_happens_in_whatever_order_nobody_meets_a_key_too_early_or_too_late(
    steps: list[str],
) -> None:
    """Who verifies may have read the set a while ago; tokens live for an hour."""
    keys = Keys()
    keys.tend()
    seen_at: dict[str, datetime] = dict.fromkeys(keys.shown(), NOW - LEAD)
    last_signed: dict[str, datetime] = {}
    withdrawn: set[str] = set()
    acts: dict[str, Callable[[], object]] = {
        "hour": lambda: setattr(keys, "now", keys.now + HOUR),
        "day": lambda: setattr(keys, "now", keys.now + 24 * HOUR),
        "turn": keys.turn,
        "now": lambda: keys.turn(at_once=True),
        "withdraw": lambda: withdrawn.update(keys.withdraw(keys.signer().key_id).withdrawn),
        "tend": keys.tend,
    }
    for step in steps:
        if step in ("turn", "now") and len(keys.shown()) >= MOST_PUBLISHED:
            continue
        acts[step]()
        signing = keys.signer()
        for key_id in keys.shown():
            seen_at.setdefault(key_id, keys.now)
        # As the ring does: it waits for the only key that there is.
        signs_at = max(keys.now, signing.signs_at)
        assert signs_at - keys.now <= LEAD
        assert signs_at - seen_at[signing.key_id] >= LEAD
        last_signed[signing.key_id] = signs_at
        assert signing.key_id not in withdrawn
        assert not withdrawn & keys.shown()
        for key_id, at in last_signed.items():
            assert key_id in keys.shown() | withdrawn or keys.now - at >= USUAL.after


def test_a_turn_lets_the_next_key_sign_once_it_has_been_known_for_an_hour(keys: Keys) -> None:
    keys.turn()
    assert keys.signer().key_id == "k1"
    # A second one changes nothing: it is on its way.
    assert not keys.turn()
    keys.now += USUAL.ahead
    assert keys.signer().key_id == "k2"
    assert "k1" in keys.shown()


def test_a_key_that_has_been_known_for_long_signs_at_the_turn(keys: Keys) -> None:
    keys.now += timedelta(days=2)
    keys.turn()
    assert keys.signer().key_id == "k2"


def test_a_turn_at_once_waits_until_our_own_processes_know(keys: Keys) -> None:
    keys.turn(at_once=True)
    assert keys.signer().key_id == "k1"
    keys.now += LEAD
    assert keys.signer().key_id == "k2"


def test_turns_are_bounded(keys: Keys) -> None:
    for _ in range(MOST_PUBLISHED):
        if len(keys.shown()) >= MOST_PUBLISHED:
            break
        keys.turn(at_once=True)
        keys.now += LEAD
    with pytest.raises(KeysTooMany):
        keys.turn(at_once=True)


def test_where_the_signing_key_is_withdrawn_the_known_one_signs_at_once(keys: Keys) -> None:
    keys.now += HOUR
    assert keys.withdraw("k1").withdrawn == ("k1",)
    assert keys.signer().key_id == "k2"
    assert keys.signer().signs_at == keys.now
    assert keys.shown() == {"k2", "k3"}
    assert not keys.withdraw("k1")


def test_where_all_are_withdrawn_a_new_one_signs_once_the_edge_may_know_it(keys: Keys) -> None:
    keys.now += HOUR
    keys.withdraw("k1", "k2")
    assert keys.signer().key_id == "k3"
    assert keys.signer().signs_at == keys.now + LEAD
    assert keys.shown() == {"k3", "k4"}


def test_where_another_than_the_signing_key_is_withdrawn_it_goes_on_signing(keys: Keys) -> None:
    keys.withdraw("k2")
    assert keys.signer().key_id == "k1"
    assert keys.shown() == {"k1", "k3"}


def test_a_key_that_nobody_knows_cannot_be_withdrawn(keys: Keys) -> None:
    with pytest.raises(KeyUnknown):
        keys.withdraw("k1", "k9")


def test_a_withdrawn_key_is_remembered_for_a_while(keys: Keys) -> None:
    keys.withdraw("k1")
    keys.now += rules.REMEMBERED
    keys.tend()
    assert "k1" in {key.key_id for key in keys.rows}
    keys.now += HOUR
    keys.tend()
    assert "k1" not in {key.key_id for key in keys.rows}


def test_a_key_that_lay_open_is_followed_soon_by_one_that_never_did(keys: Keys) -> None:
    keys.rows = [replace(key, always_sealed=False) for key in keys.rows[:1]]
    keys.tend()
    assert keys.signer().key_id == "k1"
    keys.now += USUAL.ahead
    keys.tend()
    assert keys.signer().always_sealed
    assert "k1" in keys.shown()


@pytest.mark.parametrize(
    "wrong", [(7200, 1, 3600, 900), (100, 3600, 3600, 900), (7200, 3600, 600, 900)]
)
def test_a_schedule_by_which_tokens_would_be_refused_is_refused(
    wrong: tuple[float, float, float, float],
) -> None:
    with pytest.raises(SettingsError):
        schedule_of(*wrong)


def test_keys_are_told_apart_from_their_secrets() -> None:
    assert "secret" not in repr(SigningKey("k", b"seed", b"p", NOW, NOW))
