"""When signing keys are made, used, withdrawn and forgotten.

There is always a next key, published long before it signs, so that everyone who verifies
knows it by then; a key stays published while tokens that it signed may live. Where the key
that signs must go at once, the next is known everywhere already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LEAD = timedelta(seconds=3)
"""By then a new key is known to every process of ours, and to the edge."""
REMEMBERED = timedelta(days=30)
"""How long it is told that a key was withdrawn, and its tokens are refused by name."""
MOST_PUBLISHED = 16


class KeyUnknown(Exception):
    """There is no such key."""


class KeysTooMany(Exception):
    """Keys were turned too often: tokens of too many may be met."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """For how long a key does what."""

    signs_for: timedelta = timedelta(days=7)
    ahead: timedelta = timedelta(hours=1)
    """A key that is turned to signs no sooner after it was published."""
    after: timedelta = timedelta(hours=1)
    """It stays published after its successor signs: longer than any token lives."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair."""

    key_id: str
    secret: bytes = field(repr=False)
    """The private key (RFC 8032's seed), sealed; empty where it was destroyed."""
    public_key: bytes
    """32 bytes."""
    published_at: datetime
    signs_at: datetime
    always_sealed: bool = True
    """False of a key that once lay open: another is to follow soon."""
    withdrawn_at: datetime | None = None
    withdrawn_by: str = ""
    withdrawn_why: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of the keys; all of it at once."""

    added: tuple[SigningKey, ...] = ()
    moved: tuple[tuple[str, datetime], ...] = ()
    """Keys that are to sign from another time on."""
    withdrawn: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.moved or self.withdrawn or self.forgotten)


Make = Callable[[datetime], SigningKey]
"""Makes a key that signs from a time on."""


def living(keys: Sequence[SigningKey]) -> list[SigningKey]:
    """Those that are not withdrawn, in the order in which they sign."""
    found = [key for key in keys if key.withdrawn_at is None]
    return sorted(found, key=lambda key: (key.signs_at, key.key_id))


def signer(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The key to sign with: the newest whose time has come, else the one whose comes first."""
    found = living(keys)
    ripe = [key for key in found if key.signs_at <= now]
    return ripe[-1] if ripe else next(iter(found), None)


def published(keys: Sequence[SigningKey], now: datetime, schedule: Schedule) -> list[SigningKey]:
    """The keys whose tokens may be met, now or later; the newest first."""
    found = living(keys)
    stops = [after.signs_at for after in found[1:]]
    over = sum(1 for stopped in stops if stopped + schedule.after <= now)
    return found[over:][::-1]


def tend(keys: Sequence[SigningKey], now: datetime, schedule: Schedule, make: Make) -> Change:
    """What is due by the clock: a next key, and an end of those whose tokens are over."""
    shown = published(keys, now, schedule)
    kept = {key.key_id for key in shown}
    forgotten = [
        key.key_id
        for key in keys
        if key.key_id not in kept
        and (key.withdrawn_at is None or key.withdrawn_at < now - REMEMBERED)
    ]
    signing = signer(shown, now)
    if signing is None:
        return Change((make(now), make(now + schedule.signs_for)), forgotten=tuple(forgotten))
    soonest = now + schedule.ahead
    due = max(soonest, signing.signs_at + schedule.signs_for)
    due = due if signing.always_sealed else soonest
    waiting = [key for key in living(shown) if key.signs_at > now]
    if not waiting:
        return Change((make(due),), forgotten=tuple(forgotten))
    late = not signing.always_sealed and waiting[0].signs_at > due
    moved = ((waiting[0].key_id, due),) if late else ()
    return Change(moved=moved, forgotten=tuple(forgotten))


def turn(
    keys: Sequence[SigningKey], now: datetime, schedule: Schedule, make: Make, *, at_once: bool
) -> Change:
    """The next key signs as soon as everybody knows it; `at_once` waits for none but our own.

    Raises:
        KeysTooMany: it was turned too often.
    """
    if len(published(keys, now, schedule)) >= MOST_PUBLISHED:
        raise KeysTooMany
    return _successor(keys, now, schedule, make, LEAD if at_once else schedule.ahead)


def withdraw(
    keys: Sequence[SigningKey],
    key_ids: Sequence[str],
    now: datetime,
    schedule: Schedule,
    make: Make,
) -> Change:
    """Nothing that these keys signed is believed; where one of them signs, the next does.

    Those that were withdrawn before stay so.

    Raises:
        KeyUnknown: there is no such key.
    """
    known = {key.key_id: key for key in keys}
    if any(key_id not in known for key_id in key_ids):
        raise KeyUnknown
    gone = tuple(each for each in key_ids if known[each].withdrawn_at is None)
    left = [key for key in living(keys) if key.key_id not in gone]
    signing = signer(keys, now)
    if signing is not None and signing.key_id in gone:
        following = _successor(left, now, schedule, make, LEAD)
    else:
        following = tend(left, now, schedule, make) if gone else Change()
    return Change(following.added, following.moved, withdrawn=gone)


def _successor(
    keys: Sequence[SigningKey], now: datetime, schedule: Schedule, make: Make, known_for: timedelta
) -> Change:
    """Lets the next key sign once it has been published so long, and publishes one after it."""
    waiting = [key for key in living(keys) if key.signs_at > now]
    if not waiting:
        soon = now + known_for
        return Change((make(soon), make(soon + schedule.signs_for)))
    first = waiting[0]
    soon = min(first.signs_at, max(now, first.published_at + known_for))
    moved = ((first.key_id, soon),) if soon != first.signs_at else ()
    if len(waiting) > 1:
        return Change(moved=moved)
    return Change((make(soon + schedule.signs_for),), moved)
