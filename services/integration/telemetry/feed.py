"""One session's place on the way to training: what is not durable yet, and what was sent.

Owns the unacknowledged batches of a stream. Decides what goes out next and what an
answer of training's means. An Open is its barrier: after a new one nothing counts until
training has answered it and said where to go on. Never speaks to a socket.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from palestra.training.v1 import telemetry_pb2
from palestra.training.v1 import tracker_service_pb2 as pb

FRAMES_AT_ONCE: Final = 16
"""What one session may put into a message before the next one has its turn."""
OPENINGS_WITHOUT_PROGRESS: Final = 5
_OURS_TO_MEND = frozenset({"BATCH_OUT_OF_ORDER", "SESSION_UNKNOWN"})


class Listener(Protocol):
    """Who hears what became of a session's frames."""

    def opened(self, resume_from_seq: int, activity: str) -> None:
        """The session is this stream's; said once."""

    def acknowledged(self, seq: int) -> None:
        """All batches up to `seq` are durable."""

    def refused(self, told: pb.SessionReject) -> None:
        """A batch, and all after it, must come anew; the session lives on unless `final`."""

    def finished(self, activity: str) -> None:
        """The session is over, its activity is whole."""

    def lost(self, detail: str) -> None:
        """Training cannot go on from where this stream is."""


class Waker(Protocol):
    """Who sends a feed's frames."""

    def ready(self, feed: Feed) -> None:
        """The feed has something to send."""

    def holds(self, bytes_more: int) -> None:
        """So much more, or less, is held."""


class _Held(NamedTuple):
    batch: telemetry_pb2.Batch
    size_bytes: int


class Feed:
    """The frames of one opening of one session."""

    def __init__(
        self,
        session: str,
        epoch: int,
        description: telemetry_pb2.SessionDescription,
        listener: Listener,
        waker: Waker,
    ) -> None:
        self.session = session
        self.epoch = epoch
        self.held_bytes = 0
        self.queued = False
        """Whether the shard has it in its queue already; the shard's to change."""
        self._description = description
        self._listener = listener
        self._waker = waker
        self._frames: dict[int, _Held] = {}
        self._next_seq = 1
        self._durable = 0
        self._clock: tuple[int, int] | None = None
        self._close: pb.SessionClose | None = None
        self._open_sent = self._open_answered = self._ever_opened = self._close_sent = False
        self._openings = 0
        self._gone = False

    # --- from the device ---

    def add(self, seq: int, batch: telemetry_pb2.Batch, size_bytes: int) -> None:
        """Takes the next batch; it is held until it is durable."""
        self._frames[seq] = _Held(batch, size_bytes)
        self._hold(size_bytes)
        self._wake()

    def set_clock(self, offset_ms: int, round_trip_ms: int) -> None:
        """Tells the clock's reading; a newer one replaces one that waits."""
        self._clock = offset_ms, round_trip_ms
        self._wake()

    def close(self, last_seq: int, summary: telemetry_pb2.DeviceSummary) -> None:
        """Finishes the session after its last batch."""
        self._close = pb.SessionClose(last_seq=last_seq, summary=summary)
        self._close_sent = False
        self._wake()

    def leave(self) -> None:
        """Drops everything; nothing is sent or heard any more."""
        self._gone = True
        self._frames.clear()
        self._hold(-self.held_bytes)

    # --- to training ---

    def restart(self) -> None:
        """Begins with an Open again: the stream to training is a new one."""
        self._open_sent = self._open_answered = self._close_sent = False
        self._wake()

    @property
    def waits(self) -> bool:
        """Whether training owes an answer, which a new stream would have to ask for again."""
        asked = self._open_sent and not self._open_answered
        return not self._gone and (bool(self._frames) or self._close is not None or asked)

    @property
    def has_more(self) -> bool:
        """Whether there is something that may go out now."""
        if self._gone:
            return False
        if not self._open_answered:
            return not self._open_sent
        return self._next_seq in self._frames or self._clock is not None or self._close_may_go

    @property
    def _close_may_go(self) -> bool:
        return self._close is not None and not self._close_sent

    def fill(self, request: pb.IngestTelemetryRequest, most_bytes: int) -> int:
        """Adds what goes out next to a message; answers its size in bytes.

        Goes past `most_bytes` by one batch at most.
        """
        if self._gone:
            return 0
        if not self._open_sent:
            self._open_sent = True
            self._frame(request).open.CopyFrom(self._description)
            return self._description.ByteSize()
        if not self._open_answered:
            return 0
        size = 0
        for _ in range(FRAMES_AT_ONCE):
            held = self._frames.get(self._next_seq)
            if held is None:
                return size + self._fill_rest(request)
            self._frame(request).batch.CopyFrom(held.batch)
            self._next_seq += 1
            size += held.size_bytes
            if size >= most_bytes:
                break
        return size

    def _fill_rest(self, request: pb.IngestTelemetryRequest) -> int:
        if self._clock is not None:
            offset_ms, round_trip_ms = self._clock
            clock = self._frame(request).clock
            clock.offset_ms, clock.round_trip_ms = offset_ms, round_trip_ms
            self._clock = None
        if self._close is None or self._close_sent:
            return 0
        self._close_sent = True
        self._frame(request).close.CopyFrom(self._close)
        return self._close.ByteSize()

    def _frame(self, request: pb.IngestTelemetryRequest) -> pb.SessionFrame:
        return request.frames.add(session=self.session, epoch=self.epoch)

    # --- from training ---

    def take(self, result: pb.SessionResult) -> None:
        """Hears what became of its frames."""
        kind = result.WhichOneof("result")
        if self._gone:
            return
        if kind == "opened":
            self._opened(result.opened)
        elif kind == "finished":
            self._listener.finished(result.finished.activity)
        elif kind == "reject" and result.reject.final:
            self._listener.refused(result.reject)
        elif not self._open_answered and kind == "reject" and result.reject.seq == 0:
            self._rejected_opening(result.reject)
        elif not self._open_answered:
            return  # of what was sent before the Open that waits for its answer
        elif kind == "acknowledged_seq":
            self._acknowledged(result.acknowledged_seq)
        elif kind == "reject":
            self._rejected(result.reject)

    def _opened(self, told: pb.SessionOpened) -> None:
        self._open_answered = True
        have = max(told.resume_from_seq, 1) - 1
        if not self._ever_opened:
            self._ever_opened = True
            self._durable = have
            self._listener.opened(have + 1, told.activity)
        elif have < self._durable:
            self._listener.lost(f"training has {have} of {self._durable} batches that it had")
            return
        else:
            self._acknowledged(have)
        self._next_seq = self._durable + 1
        self._wake()

    def _acknowledged(self, seq: int) -> None:
        freed = 0
        # What was not sent from here cannot be durable, whatever an answer says.
        for each in range(self._durable + 1, min(seq + 1, self._next_seq)):
            held = self._frames.pop(each, None)
            if held is None:
                break
            freed += held.size_bytes
            self._durable = each
        if freed:
            self._openings = 0
            self._hold(-freed)
            self._listener.acknowledged(self._durable)

    def _rejected_opening(self, told: pb.SessionReject) -> None:
        if told.reason in _OURS_TO_MEND:
            return  # a close or clock of before; the Open's own answer follows
        self._close = None
        self._listener.refused(told)

    def _rejected(self, told: pb.SessionReject) -> None:
        if told.reason in _OURS_TO_MEND:
            if self._frames or self._close_sent or told.reason == "SESSION_UNKNOWN":
                self._open_again(told)
            return
        if told.seq and told.seq not in self._frames:
            return  # it was dropped with one before it, or came anew
        if told.seq:
            self._drop_from(told.seq)
        self._close = None
        self._listener.refused(told)

    def _open_again(self, told: pb.SessionReject) -> None:
        """Training misses what was sent: its answer to an Open says where to go on."""
        self._openings += 1
        if self._openings > OPENINGS_WITHOUT_PROGRESS:
            self._listener.lost(f"training does not take the session: {told.detail}")
        else:
            self.restart()

    def _drop_from(self, seq: int) -> None:
        for each in [each for each in self._frames if each >= seq]:
            self._hold(-self._frames.pop(each).size_bytes)
        self._next_seq = min(self._next_seq, seq)

    def _hold(self, bytes_more: int) -> None:
        self.held_bytes += bytes_more
        self._waker.holds(bytes_more)

    def _wake(self) -> None:
        if not self.queued and self.has_more:
            self._waker.ready(self)
