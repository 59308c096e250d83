"""Use cases of the line: a device streams a session.

Joins each device's line (rules) with its place on a stream to training (shards), and
knows which stream of this process has which session. Decides when a stream ends; all
else is the rules'. A slow device holds up nobody: what it is told gathers in its own
bounded queue, and while that is full it is not read on.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from mesh.runtime import User
from mesh.runtime.errors import MeshError, Unavailable
from mesh.runtime.tokens import Verifier
from palestra.training.v1 import tracker_service_pb2
from services.integration.telemetry import rules
from services.integration.telemetry.feed import Feed
from services.integration.telemetry.rules import (
    Answer,
    Batch,
    Close,
    Closed,
    Limits,
    Line,
    Open,
    OpenMissing,
    Phase,
    Ping,
    Pong,
    Reject,
    Renew,
    Said,
    Verdict,
)
from services.integration.telemetry.shards import Shards

MOST_ANSWERS: Final = 64
"""Answers that may wait for a slow device before it is read on."""
OPEN_WITHIN_S: Final = 30.0
LAST_WORDS_S: Final = 5.0
"""For the device to hear why its stream ends."""


@dataclass(frozen=True, slots=True)
class TelemetryFlow:
    """All streams of this process."""

    shards: Shards
    verifier: Verifier
    stopping: asyncio.Event
    limits: Limits
    idle_s: float
    live: dict[str, DeviceStream] = field(default_factory=dict)
    """The stream that has each session; the others of that session have ended."""
    streams: set[DeviceStream] = field(default_factory=set)

    async def end_all_when_stopping(self) -> None:
        """Sends every device elsewhere when this process ends."""
        await self.stopping.wait()
        for stream in list(self.streams):
            stream.end(_stops())

    def stream(self, user: User, renew: Callable[[User], None]) -> DeviceStream:
        """A new stream of a device of `user`; `renew` lets it live as long as a token does.

        Raises:
            Unavailable: this process ends.
        """
        if self.stopping.is_set():
            raise _stops()
        return DeviceStream(self, user, renew)


def _stops() -> Unavailable:
    return Unavailable("this process ends; another one takes over")


class DeviceStream:
    """One stream of one device."""

    def __init__(self, flow: TelemetryFlow, user: User, renew: Callable[[User], None]) -> None:
        self._flow = flow
        self._user = user
        self._renew = renew
        self._line = Line(flow.limits)
        self._feed: Feed | None = None
        self._session = ""
        self._epoch = 0
        self._answers: deque[Answer] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._tell_now = False
        self._tell_timer: asyncio.TimerHandle | None = None
        self._watch_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._heard_at = time.monotonic()
        self._paused = False
        self._said_all = False
        self._ended = False
        self._error: Exception | None = None

    @property
    def expire_time_s(self) -> int:
        """When the stream's token expires, in s since 1970."""
        return self._user.expire_time_s

    async def run(self, said: AsyncIterator[Said]) -> AsyncGenerator[Answer, None]:
        """Hears what the device says until all is said and answered.

        Raises:
            OpenMissing: the device never opened a session.
            Unavailable: it must go on elsewhere, or later.
            MeshError: it fell silent, or said what cannot be read.
        """
        self._task = asyncio.current_task()
        reader = asyncio.create_task(self._read(said))
        self._flow.streams.add(self)
        self._watch(OPEN_WITHIN_S)
        try:
            while True:
                while self._answers:
                    yield self._next_answer()
                if self._line.ack_is_due or (self._tell_now and self._line.owes_ack):
                    self._tell_now = False
                    yield self._line.ack()
                    continue
                if self._is_over:
                    break
                self._wake.clear()
                await self._wake.wait()
            if self._error is not None:
                raise self._error
        finally:
            self._leave()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    @property
    def _is_over(self) -> bool:
        if self._ended:
            return True
        line = self._line
        return self._said_all and not line.under_way and line.phase is Phase.STREAMING

    def _next_answer(self) -> Answer:
        answer = self._answers.popleft()
        self._measure_room()
        return answer

    def _measure_room(self) -> None:
        """Whether the device may be read on: it listens, and not too much is not durable."""
        held_bytes = self._feed.held_bytes if self._feed is not None else 0
        fits = held_bytes < self._flow.limits.window_bytes and len(self._answers) < MOST_ANSWERS
        if fits or self._ended:
            self._room.set()
        else:
            self._room.clear()

    def _leave(self) -> None:
        """Gives up the session's place; after it nothing is heard of training."""
        self._flow.streams.discard(self)
        if self._flow.live.get(self._session) is self:
            del self._flow.live[self._session]
        if self._feed is not None:
            self._flow.shards.leave(self._feed)
        for timer in (self._tell_timer, self._watch_timer, self._end_timer):
            if timer is not None:
                timer.cancel()

    def end(self, error: Exception | None = None) -> None:
        """Ends the stream once what waits is said; with an error, or as it should."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._line.over()
            if self._feed is not None:
                self._flow.shards.leave(self._feed)
            if self._task is not None:
                # A device that does not listen must not keep the stream.
                loop = asyncio.get_running_loop()
                self._end_timer = loop.call_later(LAST_WORDS_S, self._task.cancel)
        self._room.set()
        self._wake.set()

    def _say(self, *answers: Answer) -> None:
        self._answers.extend(answers)
        self._measure_room()
        self._wake.set()

    # --- the device's silence ---

    def _watch(self, wait_s: float) -> None:
        if self._watch_timer is not None:
            self._watch_timer.cancel()
        loop = asyncio.get_running_loop()
        self._watch_timer = loop.call_later(wait_s, self._check_silence)

    def _check_silence(self) -> None:
        if self._line.phase is Phase.NEW:
            self.end(OpenMissing(f"nothing was opened within {OPEN_WITHIN_S:.0f} s"))
            return
        silent_s = 0.0 if self._paused else time.monotonic() - self._heard_at
        left_s = self._flow.idle_s - silent_s
        if left_s <= 0:
            self.end(MeshError("DEADLINE_EXCEEDED", f"nothing came for {silent_s:.0f} s"))
        else:
            self._watch(left_s)

    # --- from the device ---

    async def _read(self, said: AsyncIterator[Said]) -> None:
        try:
            async for message in said:
                self._heard_at = time.monotonic()
                await self._hear(message)
                if self._ended:
                    return
                await self._wait_for_room()
        except Exception as error:
            self.end(error)
            return
        self._said_all = True
        if self._line.phase is Phase.NEW:
            self.end(OpenMissing("the stream ended before it began"))
        elif self._line.phase is Phase.OPENING:
            self.end()
        self._wake.set()

    async def _wait_for_room(self) -> None:
        """Reads no further while the device does not listen, or too much is not durable."""
        feed, shards = self._feed, self._flow.shards
        if self._room.is_set() and shards.room.is_set():
            return
        self._paused = True
        await self._room.wait()
        # Who holds nothing may go on: memory is for the many, and it needs little.
        if feed is not None and feed.held_bytes and not self._ended:
            await shards.room.wait()
        self._paused = False
        self._heard_at = time.monotonic()

    async def _hear(self, message: Said) -> None:
        match message:
            case Batch():
                self._hear_batch(message)
            case Ping():
                self._hear_ping(message)
            case Open():
                self._hear_open(message)
            case Renew(token):
                await self._hear_renewal(token)
            case Close(last_seq):
                self._hear_close(last_seq, message)
            case _:
                self._say(Reject(0, "INVALID_FIELD", "a message without content"))

    def _hear_open(self, message: Open) -> None:
        refusal = self._line.open()
        if refusal is not None:
            self._say(refusal)
            return
        self._watch(self._flow.idle_s)
        self._session = f"{self._user.name}/sessions/{message.session}"
        self._epoch = message.epoch
        live = self._flow.live
        older = live.get(self._session)
        if older is None or older.epoch <= message.epoch:
            live[self._session] = self
            if older is not None:
                older.supersede(message.epoch)
        # A stream with an older epoch than the live one is training's to refuse.
        self._feed = self._flow.shards.join(self._session, message.epoch, message.description, self)

    @property
    def epoch(self) -> int:
        """The opening that this stream is."""
        return self._epoch

    def supersede(self, epoch: int) -> None:
        """Another stream of this process has taken the session."""
        self._say(Reject(0, "SESSION_ENDED", f"opening {epoch} has taken the session"))
        self.end()

    def _hear_batch(self, message: Batch) -> None:
        verdict = self._line.batch(message.seq, message.samples, message.size_bytes)
        if verdict is Verdict.TAKE and self._feed is not None:
            self._feed.add(message.seq, message.payload, message.size_bytes)
            self._measure_room()
        elif isinstance(verdict, tuple):
            self._say(*verdict)
            if self._line.phase is Phase.OVER:
                self.end()
        else:
            self._wake.set()

    def _hear_ping(self, message: Ping) -> None:
        if self._line.phase is Phase.NEW:
            self._say(Reject(0, OpenMissing.reason, "a stream begins with Open"))
            return
        self._say(Pong(message.device_time, message.received_at))
        reading = rules.clock_reading(message)
        if reading is not None and self._feed is not None:
            self._feed.set_clock(*reading)

    async def _hear_renewal(self, token: str) -> None:
        if self._line.phase is Phase.NEW:
            self._say(Reject(0, OpenMissing.reason, "a stream begins with Open"))
            return
        try:
            user = await self._flow.verifier.verify(token)
        except MeshError as error:
            self._say(Reject(0, error.reason, error.detail))
            return
        refusal = rules.renewal_refused(self._user.id, user.id, user.scopes)
        if refusal is not None:
            self._say(refusal)
            return
        self._user = user
        self._renew(user)

    def _hear_close(self, last_seq: int, message: Close) -> None:
        answer = self._line.close(last_seq)
        if isinstance(answer, Closed):
            self._close(answer)
        elif answer is not None:
            self._say(answer)
        elif self._feed is not None:
            self._feed.close(last_seq, message.summary)

    # --- from training ---

    def opened(self, resume_from_seq: int, activity: str) -> None:
        """Training gave the session to this stream."""
        accepted = self._line.opened(resume_from_seq)
        if accepted is not None:
            self._say(accepted._replace(activity=activity))

    def acknowledged(self, seq: int) -> None:
        """Batches became durable."""
        line = self._line
        line.acknowledged(seq)
        self._measure_room()
        if line.ack_is_due or self._said_all:
            self._wake.set()
        elif self._tell_timer is None:
            loop = asyncio.get_running_loop()
            self._tell_timer = loop.call_later(rules.ACK_WITHIN_S, self._tell)

    def _tell(self) -> None:
        self._tell_timer = None
        self._tell_now = True
        self._wake.set()

    def refused(self, told: tracker_service_pb2.SessionReject) -> None:
        """Training refused a batch, or the whole session."""
        final = told.final or self._line.phase is Phase.OPENING
        self._line.refused(told.seq)
        self._say(Reject(told.seq, told.reason, told.detail, told.resume_from_seq))
        if final:
            self.end()

    def finished(self, activity: str) -> None:
        """Training finished the session."""
        closed = self._line.finished(activity)
        if closed is not None:
            self._close(closed)

    def _close(self, closed: Closed) -> None:
        if self._line.owes_ack:
            self._say(self._line.ack())
        self._say(closed)
        self.end()

    def lost(self, detail: str) -> None:
        """Training cannot go on from here: the device opens the session again."""
        self.end(Unavailable(detail))
