"""What goes into the tracker's store and comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from services.training.keys import SessionKey
from services.training.tracker.frames import Clock
from services.training.tracker.rules.sessions import SessionRow


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it is stored."""

    row: SessionRow
    sample_count: int
    clock: Clock | None
    description: bytes
    """SessionDescription of the contract, serialised."""
    touched_at: datetime
    """Of a closed session, when it ended."""


class Append(NamedTuple):
    """The next batches of a session, in one chunk."""

    session: SessionKey
    epoch: int
    first_seq: int
    last_seq: int
    samples: int
    body: bytes


class NewActivity(NamedTuple):
    """The activity that a session becomes, as it begins."""

    session: SessionKey
    state: int
    sport: int
    started_at: datetime
    message: bytes


class Recorded(NamedTuple):
    """What a session's activity is made from."""

    message: bytes
    """The activity as it began, or as it was changed since; serialised."""
    version: int
    chunks: bytes
    """All samples that were committed, in order."""


class FinishedActivity(NamedTuple):
    """The activity that a session became."""

    session: SessionKey
    at: datetime
    """When it ended, by our clock."""
    epoch: int
    last_seq: int
    version: int
    """Of the activity that `message` was made from."""
    state: int
    audience: int
    totals: bytes
    message: bytes
    json: bytes | None
    times: bytes
    channels: Sequence[bytes]
