"""The rules of goals: what one may be, what a repeat and an update are, how many there may be.

Whether a goal is achieved is what its person says: nothing here looks at what he did.
"""

from __future__ import annotations

import enum
import hashlib
import uuid
from collections.abc import Collection
from dataclasses import astuple, dataclass, replace
from datetime import date, datetime, timedelta
from typing import ClassVar, Final

from services.identity.profiles.rules.errors import EtagMismatch, FieldInvalid
from services.identity.profiles.rules.texts import clean_line

MOST_GOALS: Final = 100
"""A person's goals that are not deleted, achieved ones among them."""
LONGEST_TEXT: Final = 100
FARTHEST: Final = timedelta(days=50 * 366)
"""A target date lies within this from today."""
REMEMBER_DELETED: Final = timedelta(days=30)
"""How long a deleted goal's id still answers repeats."""


class GoalNotFound(Exception):
    """The person has no such goal."""

    reason: ClassVar[str] = "GOAL_NOT_FOUND"


class TooManyGoals(Exception):
    """The person has as many goals as there may be."""

    reason: ClassVar[str] = "TOO_MANY_GOALS"


class RequestIdReused(Exception):
    """The request id belongs to another goal."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"
    field = "request_id"


class Kind(enum.IntEnum):
    """What is to be reached; numbered as the fields of the contract's oneof."""

    EVENT = 2
    DISTANCE = 3
    TIME = 4
    WEIGHT = 5


TARGETS: Final = frozenset(kind.name.lower() for kind in Kind)
CHANGEABLE: Final = frozenset({*TARGETS, "title", "target_date", "state"})


class State(enum.IntEnum):
    """How far it is, as the person says; numbered as in the contract."""

    UNSPECIFIED = 0
    ACTIVE = 1
    ACHIEVED = 2
    ABANDONED = 3


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached; a kind has some of these."""

    kind: Kind
    event_name: str | None = None
    sport: int | None = None
    """As in the contract; 0 is any."""
    distance_m: float | None = None
    duration_s: float | None = None
    period: int | None = None
    """As in the contract."""
    weight_kg: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request says of a goal."""

    target: Target | None
    title: str
    target_date: date | None
    state: State

    @property
    def fingerprint(self) -> bytes:
        """32 bytes; two creations are the same request where it is the same."""
        return hashlib.sha256(repr(astuple(self)).encode()).digest()


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal as it is stored."""

    user_id: uuid.UUID
    goal_id: uuid.UUID
    title: str
    target: Target
    target_date: date | None
    state: State
    achieved_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        """`users/{user}/goals/{goal}`."""
        return f"users/{self.user_id}/goals/{self.goal_id}"

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return str(self.version)


@dataclass(frozen=True, slots=True)
class Record:
    """What is left of an earlier creation with the same id."""

    request_hash: bytes
    created_at: datetime
    goal: Goal | None
    """None where it was deleted."""


def cleaned(wanted: Wanted) -> Wanted:
    """The same with clean texts; a goal that does not say is active.

    Raises:
        FieldInvalid: a text cannot be kept, or there is no target.
    """
    target = wanted.target
    if target is None:
        raise FieldInvalid("goal", f"needs one of {', '.join(sorted(TARGETS))}")
    if target.event_name is not None:
        name = clean_line("goal.event.event_name", target.event_name, LONGEST_TEXT)
        if not name:
            raise FieldInvalid("goal.event.event_name", "is empty")
        target = replace(target, event_name=name)
    title = clean_line("goal.title", wanted.title, LONGEST_TEXT)
    state = State.ACTIVE if wanted.state is State.UNSPECIFIED else wanted.state
    return Wanted(target, title, wanted.target_date, state)


def created(user_id: uuid.UUID, goal_id: uuid.UUID, wanted: Wanted, now: datetime) -> Goal:
    """The goal that a clean request asks for.

    Raises:
        FieldInvalid: its day is missing, or too far.
    """
    assert wanted.target is not None
    _check_day(wanted.target.kind, wanted.target_date, now.date())
    achieved_at = now if wanted.state is State.ACHIEVED else None
    return Goal(
        user_id,
        goal_id,
        wanted.title,
        wanted.target,
        wanted.target_date,
        wanted.state,
        achieved_at,
        1,
        now,
        now,
    )


def repeated(wanted: Goal, request: Wanted, record: Record) -> Goal:
    """The answer to a repeat: the goal as it is now, or as it was made where it is deleted.

    Raises:
        RequestIdReused: the record is of another body.
    """
    if record.request_hash != request.fingerprint:
        raise RequestIdReused("it was used for another goal")
    if record.goal is not None:
        return record.goal
    return replace(wanted, created_at=record.created_at, updated_at=record.created_at)


def update(goal: Goal, wanted: Wanted, names: Collection[str], etag: str, now: datetime) -> Goal:
    """The goal with the named fields taken from `wanted`; itself where nothing changes.

    Raises:
        EtagMismatch: `etag` is given and of another version.
        FieldInvalid: a new value cannot be kept.
    """
    after = goal
    if TARGETS & set(names):
        after = replace(after, target=_target(wanted, names))
    if "title" in names:
        after = replace(after, title=clean_line("goal.title", wanted.title, LONGEST_TEXT))
    if "target_date" in names:
        after = replace(after, target_date=wanted.target_date)
    if "state" in names:
        after = _in_state(after, wanted.state, now)
    if after == goal:
        return goal
    if etag and etag != goal.etag:
        raise EtagMismatch
    if after.target.kind != goal.target.kind or after.target_date != goal.target_date:
        _check_day(after.target.kind, after.target_date, now.date())
    return replace(after, version=goal.version + 1, updated_at=now)


def _target(wanted: Wanted, names: Collection[str]) -> Target:
    target = cleaned(wanted).target
    assert target is not None
    if target.kind.name.lower() not in names:
        raise FieldInvalid("update_mask", f"does not name {target.kind.name.lower()}, which is set")
    return target


def _in_state(goal: Goal, state: State, now: datetime) -> Goal:
    if state is State.UNSPECIFIED:
        raise FieldInvalid("goal.state", "is to be said")
    if state is goal.state:
        return goal
    return replace(goal, state=state, achieved_at=now if state is State.ACHIEVED else None)


def _check_day(kind: Kind, day: date | None, today: date) -> None:
    if day is None:
        if kind is Kind.EVENT:
            raise FieldInvalid("goal.target_date", "an event needs its day")
        return
    if abs(day - today) > FARTHEST:
        raise FieldInvalid("goal.target_date", "is more than 50 years away")
