"""The device's line as the server sees it: what each message may do in each phase.

Owns the counters of one stream and the bounds of what it may send. Decides what is
taken, what is refused by which number, when an acknowledgement goes out, what a new
token must be. Never sees a sample, a socket or a clock: payloads pass through opaque,
times are given.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Final, NamedTuple

ACK_EVERY: Final = 10
"""Batches that become durable between two acknowledgements, while more are under way."""
ACK_WITHIN_S: Final = 1.0
"""The longest that something durable stays untold."""
MAX_CLOCK_OFFSET_MS: Final = 200 * 366 * 86_400_000
"""A device whose clock is further off than this measured garbage."""
SCOPE: Final = "telemetry.write"
"""What a token must allow to keep the stream; the contract's method says the same."""


class OpenMissing(Exception):
    """The stream was never opened."""

    reason: ClassVar[str] = "OPEN_MISSING"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one device may send before it must wait."""

    window: int = 64
    """Batches without acknowledgement at once."""
    window_bytes: int = 4 << 20
    """Their bytes; beyond it the stream is not read on until some are durable."""
    batch_samples: int = 3600
    batch_bytes: int = 3 << 20


# --- what a device says ---


class Open(NamedTuple):
    """Takes the session for this stream."""

    session: str
    """The session's UUID."""
    epoch: int
    description: Any
    """What is measured; training reads it."""


class Batch(NamedTuple):
    """Some samples."""

    seq: int
    samples: int
    size_bytes: int
    payload: Any
    """The batch itself; training reads it."""


class Ping(NamedTuple):
    """The device's clock, and what it made of the last answer."""

    device_time: Any
    offset_ms: int | None
    round_trip_ms: int | None
    received_at: datetime


class Renew(NamedTuple):
    """A fresh token."""

    token: str


class Close(NamedTuple):
    """The session ends with a batch; 0 where there was none."""

    last_seq: int
    summary: Any


class Nothing(NamedTuple):
    """A message without content, or of a kind that is newer than this server."""


Said = Open | Batch | Ping | Renew | Close | Nothing


# --- what a device is told ---


class Accepted(NamedTuple):
    """The session is this stream's."""

    resume_from_seq: int
    window: int
    max_batch_samples: int
    activity: str


class Ack(NamedTuple):
    """All batches up to `seq` are durable."""

    seq: int


class Flow(NamedTuple):
    """The window from now on."""

    window: int


class Pong(NamedTuple):
    """The answer to a ping."""

    device_time: Any
    received_at: datetime


class Reject(NamedTuple):
    """A batch (or, with seq 0, something else) was refused."""

    seq: int
    reason: str
    detail: str
    resume_from_seq: int = 0


class Closed(NamedTuple):
    """The session is finished."""

    activity: str


Answer = Accepted | Ack | Flow | Pong | Reject | Closed


class Phase(Enum):
    """Where a line stands."""

    NEW = "new"
    OPENING = "opening"
    STREAMING = "streaming"
    CLOSING = "closing"
    OVER = "over"


class Verdict(Enum):
    """What happens to a batch that is not refused."""

    TAKE = "take"
    AGAIN = "again"
    """It is durable: acknowledged again."""
    UNDER_WAY = "under way"
    """It was taken and is not durable yet: its acknowledgement will come."""


class Line:
    """The state of one device's stream."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.phase = Phase.NEW
        self.taken = 0
        """The last batch that was taken."""
        self.durable = 0
        """All batches up to this one are durable."""
        self.told = 0
        """The last acknowledgement that went out."""
        self.finished_as: str | None = None
        """The activity, where training says that the session is finished."""
        self._owes = False

    @property
    def resume_from_seq(self) -> int:
        """The batch that is taken next."""
        return self.taken + 1

    @property
    def under_way(self) -> int:
        """Batches that are taken and not durable."""
        return self.taken - self.durable

    def open(self) -> Reject | None:
        """The session is asked for; a reason where it is not the time for that."""
        if self.phase is not Phase.NEW:
            return Reject(0, OpenMissing.reason, "the stream has opened its session already")
        self.phase = Phase.OPENING
        return None

    def opened(self, resume_from_seq: int) -> Accepted | None:
        """Training gave the session to this stream: the device hears it once."""
        if self.phase is not Phase.OPENING:
            return None
        self.phase = Phase.STREAMING
        self.taken = self.durable = self.told = max(resume_from_seq, 1) - 1
        limits = self.limits
        return Accepted(self.taken + 1, limits.window, limits.batch_samples, "")

    def batch(self, seq: int, samples: int, size_bytes: int) -> Verdict | tuple[Answer, ...]:
        """What becomes of a batch; the answers that refuse it where it is not taken."""
        if self.phase in (Phase.NEW, Phase.OPENING):
            return (self._early(seq),)
        if 0 < seq <= self.durable:
            self._owes = True
            return Verdict.AGAIN
        if 0 < seq <= self.taken:
            return Verdict.UNDER_WAY
        refusal = self._refusal(seq, samples, size_bytes)
        if refusal:
            return refusal
        self.taken = seq
        return Verdict.TAKE

    def _refusal(self, seq: int, samples: int, size_bytes: int) -> tuple[Answer, ...]:
        limits = self.limits
        if self.finished_as is not None:
            self.phase = Phase.OVER
            detail = f"the session ended with batch {self.durable}"
            return (Reject(seq, "SESSION_CLOSED", detail, self.resume_from_seq),)
        if self.phase is Phase.CLOSING:
            return (self._missing(seq, f"the session closes with batch {self.taken}"),)
        if seq != self.taken + 1:
            return (self._missing(seq, f"batch {seq} came in place of batch {self.taken + 1}"),)
        if self.under_way >= limits.window:
            past = self._missing(seq, f"{limits.window} batches are without acknowledgement")
            return (Flow(limits.window), past)
        if samples > limits.batch_samples or size_bytes > limits.batch_bytes:
            return (self._too_large(seq, samples, size_bytes),)
        return ()

    def _early(self, seq: int) -> Reject:
        if self.phase is Phase.NEW:
            return Reject(seq, OpenMissing.reason, "a stream begins with Open")
        return Reject(seq, "BATCH_OUT_OF_ORDER", "nothing is taken before Accepted")

    def _missing(self, seq: int, detail: str) -> Reject:
        return Reject(seq, "BATCH_OUT_OF_ORDER", detail, self.resume_from_seq)

    def _too_large(self, seq: int, samples: int, size_bytes: int) -> Reject:
        limits = self.limits
        detail = (
            f"{samples} samples in {size_bytes} bytes; at most {limits.batch_samples} samples "
            f"in {limits.batch_bytes} bytes"
        )
        return Reject(seq, "BATCH_TOO_LARGE", detail, self.resume_from_seq)

    def close(self, last_seq: int) -> Reject | Closed | None:
        """The device wants to finish; an answer where that needs nothing of training."""
        if self.phase in (Phase.NEW, Phase.OPENING):
            return self._early(0)
        if last_seq > self.taken:
            return self._missing(0, f"batches {self.taken + 1} to {last_seq} did not come")
        if self.finished_as is not None and last_seq == self.durable:
            return Closed(self.finished_as)
        self.phase = Phase.CLOSING
        return None

    def finished(self, activity: str) -> Closed | None:
        """Training finished the session; a device that did not ask yet hears it when it does.

        In answer to an Open it means that the session was finished before: an answer
        to an earlier close was lost.
        """
        self.finished_as = activity
        return None if self.phase is Phase.STREAMING else Closed(activity)

    def acknowledged(self, seq: int) -> None:
        """Training has made all batches up to `seq` durable."""
        if seq > self.durable:
            self.durable = seq
            self.taken = max(self.taken, seq)

    def refused(self, seq: int) -> None:
        """Training refused a batch (0: the close): the device goes on from there."""
        if self.phase is Phase.CLOSING:
            self.phase = Phase.STREAMING
        if seq:
            self.taken = min(self.taken, max(self.durable, seq - 1))

    def over(self) -> None:
        """Nothing is taken any more."""
        self.phase = Phase.OVER

    @property
    def owes_ack(self) -> bool:
        """Whether something is durable that the device was not told, or asked for again."""
        return self._owes or self.told < self.durable

    @property
    def ack_is_due(self) -> bool:
        """Whether it is told at once: all is durable, or enough has gathered."""
        gathered = self.durable - self.told
        return self._owes or (gathered > 0 and (not self.under_way or gathered >= ACK_EVERY))

    def ack(self) -> Ack:
        """The acknowledgement that goes out now."""
        self._owes = False
        self.told = self.durable
        return Ack(self.durable)


def clock_reading(ping: Ping) -> tuple[int, int] | None:
    """Offset and round trip in ms that a ping tells; None where it measured nothing."""
    if ping.offset_ms is None or ping.round_trip_ms is None:
        return None
    if abs(ping.offset_ms) > MAX_CLOCK_OFFSET_MS:
        return None
    return ping.offset_ms, ping.round_trip_ms


def renewal_refused(owner: uuid.UUID, bearer: uuid.UUID, scopes: Collection[str]) -> Reject | None:
    """Why a valid token does not keep the stream of `owner`; None where it does."""
    if bearer != owner:
        return Reject(0, "TOKEN_OF_ANOTHER", "the token is another person's")
    if SCOPE not in scopes:
        return Reject(0, "SCOPE_MISSING", f"the scope {SCOPE} is needed")
    return None
