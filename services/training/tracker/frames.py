"""The frames of live sessions as the flow works on them, and the answers to them.

Owns the shapes between rpc, flow and store; decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias

from services.training.keys import SessionKey
from services.training.samples.rules.batches import RawBatch
from services.training.samples.rules.channels import ChannelSpec


@dataclass(frozen=True, slots=True)
class Opening:
    """A device opens a session."""

    sport: int
    started_at: datetime
    utc_offset_s: int | None
    device: str
    channels: tuple[ChannelSpec, ...]
    encoded: bytes
    """SessionDescription of the contract, serialised."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A device ends a session."""

    last_seq: int
    summary: bytes
    """DeviceSummary of the contract, serialised."""


class Clock(NamedTuple):
    """What integration measured of the device's clock."""

    offset_ms: int
    round_trip_ms: int


Content: TypeAlias = "Opening | RawBatch | Closing | Clock | Rejected"
"""`Rejected` where the frame could not even be read."""


class Frame(NamedTuple):
    """One thing that a device said."""

    session: SessionKey
    epoch: int
    content: Content
    size: int
    """Bytes on the wire, for the bounds."""


class Opened(NamedTuple):
    """The session is this opening's."""

    resume_from_seq: int


class Acknowledged(NamedTuple):
    """All batches up to `seq` are durable."""

    seq: int


class Rejected(NamedTuple):
    """A frame was refused."""

    seq: int
    reason: str
    detail: str
    final: bool
    resume_from_seq: int


class Finished(NamedTuple):
    """The session ended; its activity is whole."""

    at: datetime


Outcome: TypeAlias = Opened | Acknowledged | Rejected | Finished


class Nameless(NamedTuple):
    """A session whose name is none of ours, as it came."""

    name: str
    activity: str = ""


class Result(NamedTuple):
    """What became of a frame."""

    session: SessionKey | Nameless
    epoch: int
    outcome: Outcome
