"""The answer to each frame of a session.

Owns the session's state as the rules see it. Decides: take it, acknowledge it again,
refuse it, and where to resume. Never holds state between calls: the row is read by the
caller, and the statement that commits repeats the condition, because another worker may
have moved the session meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.training.samples.rules.batches import EARLIEST_MS, LATEST_MS
from services.training.samples.rules.errors import BatchMalformed
from services.training.tracker.rules.errors import (
    BatchOutOfOrder,
    DescriptionChanged,
    SessionClosed,
    SessionFenced,
    SessionUnknown,
)

MAX_EPOCH: Final = 2**63 - 1
MAX_CLOCK_OFFSET_MS: Final = 200 * 366 * 86_400_000
"""A device whose clock is further off than this sent garbage."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as it is stored."""

    epoch: int
    """The highest opening that was seen; it owns the session."""
    last_seq: int
    """All batches up to this one are durable."""
    fingerprint: bytes
    """Of the channels under which samples are stored."""
    closed: bool = False

    @property
    def resume_from_seq(self) -> int:
        """The first batch that the store does not have."""
        return self.last_seq + 1

    def after_batch(self) -> SessionRow:
        """The row once the next batch is in the same commit: to decide on a whole group."""
        # Not dataclasses.replace: this runs for every batch, and it takes three times as long.
        return SessionRow(self.epoch, self.last_seq + 1, self.fingerprint, self.closed)


class OpenAction(Enum):
    """What an open does to the row."""

    CREATE = "create"
    TAKE_OVER = "take over"
    """A newer opening: older streams are fenced from now on."""
    REPEAT = "repeat"
    """The same opening again: answer as before, change nothing."""
    FINISHED = "finished"
    """The session ended before: answer with its end, so that a lost answer is no loss."""


@dataclass(frozen=True, slots=True)
class OpenDecision:
    """What an open does, and where the device goes on."""

    action: OpenAction
    resume_from_seq: int
    replace_description: bool = False
    """The channels differ from the stored ones, which hold no samples yet."""


def decide_open(row: SessionRow | None, epoch: int, fingerprint: bytes) -> OpenDecision:
    """Raises SessionFenced for an older epoch, DescriptionChanged for other channels.

    BatchMalformed for an epoch that is none.
    """
    if not 1 <= epoch <= MAX_EPOCH:
        raise BatchMalformed(f"openings are counted from 1, this is {epoch}", field="epoch")
    if row is None:
        return OpenDecision(OpenAction.CREATE, resume_from_seq=1)
    if epoch < row.epoch:
        raise _fenced(row, epoch)
    if row.closed:
        return OpenDecision(OpenAction.FINISHED, row.resume_from_seq)
    changed = fingerprint != row.fingerprint
    if changed and row.last_seq:
        raise DescriptionChanged(
            f"{row.last_seq} batches are stored under other channels",
            resume_from_seq=row.resume_from_seq,
        )
    action = OpenAction.TAKE_OVER if epoch > row.epoch else OpenAction.REPEAT
    return OpenDecision(action, row.resume_from_seq, replace_description=changed)


def check_start(start_ms: int) -> None:
    """Raises BatchMalformed where a session cannot have begun then, ms since 1970."""
    if not EARLIEST_MS <= start_ms < LATEST_MS:
        raise BatchMalformed("the start is outside the years 1990 to 2099", field="start_time")


class BatchAction(Enum):
    """What a batch does."""

    ACCEPT = "accept"
    DUPLICATE = "duplicate"
    """It is stored already: acknowledge `last_seq` again."""


def decide_batch(row: SessionRow | None, epoch: int, seq: int) -> BatchAction:
    """Raises SessionUnknown, SessionFenced, SessionClosed or BatchOutOfOrder."""
    row = _owned(row, epoch, seq)
    if seq <= row.last_seq:
        return BatchAction.DUPLICATE
    if row.closed:
        raise SessionClosed(
            f"the session ended with batch {row.last_seq}",
            seq=seq,
            resume_from_seq=row.resume_from_seq,
        )
    if seq > row.resume_from_seq:
        raise _missing(row, seq, f"batch {seq} came before batch {row.resume_from_seq}")
    return BatchAction.ACCEPT


class CloseAction(Enum):
    """What a close does."""

    FINISH = "finish"
    FINISHED = "finished"
    """It was finished before: answer with its end again."""


def decide_close(row: SessionRow | None, epoch: int, last_seq: int) -> CloseAction:
    """`last_seq`: the device's last batch, 0 where it sent none.

    Raises SessionUnknown, SessionFenced; BatchOutOfOrder where batches before the end
    are not durable yet (send them, then close again); SessionClosed where the close
    names batches past a finished session's end; BatchMalformed where more is stored
    than the device says it sent.
    """
    row = _owned(row, epoch, seq=0)
    if row.closed and last_seq > row.last_seq:
        raise SessionClosed(
            f"the session ended with batch {row.last_seq}", resume_from_seq=row.resume_from_seq
        )
    if row.closed:
        return CloseAction.FINISHED
    if last_seq > row.last_seq:
        raise _missing(row, 0, f"batches {row.resume_from_seq} to {last_seq} are not stored")
    if last_seq < row.last_seq:
        raise BatchMalformed(
            f"the close names batch {last_seq} as the last, {row.last_seq} are stored",
            resume_from_seq=row.resume_from_seq,
            field="last_seq",
        )
    return CloseAction.FINISH


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Server's time minus the device's, and the round trip in which it was measured."""

    offset_ms: int
    round_trip_ms: int


def decide_clock(
    row: SessionRow | None, epoch: int, stored: ClockReading | None, measured: ClockReading
) -> ClockReading | None:
    """The reading to store, or None where the stored one stands.

    The shortest round trip bounds the error best (the clock filter of RFC 5905), and
    taking the smallest makes the order of arrival irrelevant. After the end nothing is
    stored. Raises SessionUnknown, SessionFenced, BatchMalformed.
    """
    row = _owned(row, epoch, seq=0)
    if abs(measured.offset_ms) > MAX_CLOCK_OFFSET_MS or measured.round_trip_ms < 0:
        raise BatchMalformed(
            f"a clock offset of {measured.offset_ms} ms is no measurement", field="clock"
        )
    if row.closed or (stored is not None and _rank(stored) <= _rank(measured)):
        return None
    return measured


def _rank(reading: ClockReading) -> tuple[int, int, int]:
    return reading.round_trip_ms, abs(reading.offset_ms), reading.offset_ms


def _owned(row: SessionRow | None, epoch: int, seq: int) -> SessionRow:
    """The row, where this epoch owns it or it has ended."""
    if row is None:
        raise SessionUnknown("the session was never opened", seq=seq, resume_from_seq=1)
    if epoch < row.epoch:
        raise _fenced(row, epoch, seq)
    # A finished session is nobody's any more: an opening after its end is told of the end.
    if epoch > row.epoch and not row.closed:
        raise SessionUnknown(
            f"opening {epoch} was never seen, the newest is {row.epoch}",
            seq=seq,
            resume_from_seq=row.resume_from_seq,
        )
    return row


def _fenced(row: SessionRow, epoch: int, seq: int = 0) -> SessionFenced:
    detail = f"opening {row.epoch} owns the session, this is {epoch}"
    return SessionFenced(detail, seq=seq, resume_from_seq=row.resume_from_seq)


def _missing(row: SessionRow, seq: int, detail: str) -> BatchOutOfOrder:
    return BatchOutOfOrder(detail, seq=seq, resume_from_seq=row.resume_from_seq)
