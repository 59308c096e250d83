"""One long stream of frames: many sessions, committed in groups.

Frames of a session stay in order; a session that opens, closes or is in trouble
does not hold up the others. While one group commits, the next one gathers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from typing import Final

import structlog

from mesh.runtime import tasks
from mesh.runtime.errors import Unavailable
from services.training.keys import SessionKey
from services.training.samples.rules.batches import RawBatch
from services.training.tracker.flow import Known, Run, TrackerFlow
from services.training.tracker.frames import (
    Clock,
    Closing,
    Finished,
    Frame,
    Opening,
    Outcome,
    Rejected,
    Result,
)

MOST_WAITING_BYTES: Final = 32 << 20
"""Of frames that were read and are not durable yet; beyond it the stream is not read on."""
FRAME_BYTES: Final = 2048
"""What a frame takes beside its columns, however small they are."""
MOST_UNHEARD: Final = 16_384
"""Results that nobody has taken; beyond it the stream is not read on."""
MOST_SESSIONS_PER_COMMIT: Final = 512
MOST_BYTES_PER_COMMIT: Final = 8 << 20
MOST_BATCHES_PER_RUN: Final = 128
MOST_KNOWN: Final = 20_000
MOST_RESULTS: Final = 4096
SLOW_AT_ONCE: Final = 8
"""Sessions that open, close or set their clock at the same time."""
AGAIN_AFTER_S: Final = 0.1
_UNSERVED: Final = Rejected(
    0, "SESSION_UNKNOWN", "the session could not be served; open it again", True, 0
)
_log = structlog.get_logger(__name__)


class Ingest:
    """The state of one stream; nothing in it is the truth."""

    def __init__(self, flow: TrackerFlow, stopping: asyncio.Event) -> None:
        self._flow = flow
        self._stopping = stopping
        self._known: OrderedDict[SessionKey, Known] = OrderedDict()
        self._lanes: OrderedDict[SessionKey, deque[Frame]] = OrderedDict()
        self._busy: set[SessionKey] = set()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._results: deque[Result] = deque()
        self._news = asyncio.Event()
        self._slow = asyncio.Semaphore(SLOW_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._read_out = False
        self._over = False
        self._failure: BaseException | None = None

    async def run(
        self, frames: AsyncIterator[Sequence[Frame | Result]]
    ) -> AsyncGenerator[list[Result], None]:
        """Takes frames until they end; answers with what became of each."""
        reading = self._start(self._read(frames))
        self._start(self._commit_groups())
        self._start(self._stop(reading))
        try:
            while results := await self._gather():
                yield results
        finally:
            # Whoever listens is gone, or all is said: what is half done is done again.
            await tasks.end(self._tasks)
        if self._failure is not None:
            raise self._failure

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._over = True
            self._news.set()

    async def _read(self, frames: AsyncIterator[Sequence[Frame | Result]]) -> None:
        async for some in frames:
            for frame in some:
                if isinstance(frame, Result):
                    self._tell(frame)
                else:
                    self._lanes.setdefault(frame.session, deque()).append(frame)
                    self._waiting_bytes += frame.size + FRAME_BYTES
            self._wake.set()
            while self._is_full():
                self._room.clear()
                await self._room.wait()
        self._read_out = True
        self._wake.set()

    def _is_full(self) -> bool:
        return self._waiting_bytes > MOST_WAITING_BYTES or len(self._results) > MOST_UNHEARD

    async def _stop(self, reading: asyncio.Task[None]) -> None:
        """When this process ends, what was read is committed and the rest goes elsewhere."""
        await self._stopping.wait()
        reading.cancel()
        self._read_out = True
        self._wake.set()

    async def _gather(self) -> list[Result]:
        """All results that are there, at least one; none after the last."""
        while not self._results and not self._over:
            self._news.clear()
            await self._news.wait()
        count = min(len(self._results), MOST_RESULTS)
        results = [self._results.popleft() for _ in range(count)]
        self._room.set()
        return results

    def _tell(self, result: Result) -> None:
        self._results.append(result)
        self._news.set()

    async def _commit_groups(self) -> None:
        while self._lanes or not self._read_out:
            runs = self._take()
            if runs:
                await self._commit(runs)
                continue
            await self._wake.wait()
            self._wake.clear()
        self._over = True
        self._news.set()

    def _take(self) -> list[Run]:
        """The next batches of every free session; what is no batch is started on the side."""
        runs: list[Run] = []
        size = 0
        for session, lane in self._lanes.items():
            if session in self._busy:
                continue
            if not isinstance(lane[0].content, RawBatch):
                self._busy.add(session)
                self._start(self._do(session, lane[0]))
            elif len(runs) < MOST_SESSIONS_PER_COMMIT and size < MOST_BYTES_PER_COMMIT:
                run, taken = _run(lane)
                size += taken
                runs.append(run)
        return runs

    async def _commit(self, runs: Sequence[Run]) -> None:
        try:
            outcomes = await self._flow.append(runs, self._known)
        except Unavailable as trouble:
            # Nothing is acknowledged, nothing is forgotten: the frames wait in their lanes.
            _log.warning("commit_waits", sessions=len(runs), why=trouble.detail)
            await asyncio.sleep(AGAIN_AFTER_S)
            return
        except Exception:
            _log.exception("commit_failed", sessions=len(runs))
            await self._commit_apart(runs)
            return
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        for run, some in zip(runs, outcomes, strict=True):
            # Without outcomes, its frames wait in their lane for the next group.
            if some:
                self._done(run.session, len(run.batches))
                self._answer(run.session, run.epoch, some)

    async def _commit_apart(self, runs: Sequence[Run]) -> None:
        # One session's trouble is its own: the others of the group go on without it.
        if len(runs) > 1:
            for run in runs:
                await self._commit([run])
            return
        (run,) = runs
        self._known.pop(run.session, None)
        self._done(run.session, len(run.batches))
        self._answer(run.session, run.epoch, [_UNSERVED])

    async def _do(self, session: SessionKey, frame: Frame) -> None:
        try:
            async with self._slow:
                outcomes = await self._decide(frame)
        except Unavailable as trouble:
            _log.warning("frame_waits", why=trouble.detail)
            await asyncio.sleep(AGAIN_AFTER_S)
        except Exception:
            _log.exception("frame_failed")
            self._done(session, 1)
            self._answer(session, frame.epoch, [_UNSERVED])
        else:
            self._done(session, 1)
            self._answer(session, frame.epoch, outcomes)
        finally:
            self._busy.discard(session)
            self._wake.set()

    async def _decide(self, frame: Frame) -> list[Outcome]:
        content = frame.content
        if isinstance(content, Opening):
            self._known.pop(frame.session, None)
            return await self._flow.open(frame.session, frame.epoch, content)
        if isinstance(content, Closing):
            outcomes = await self._flow.close(frame.session, frame.epoch, content)
            if isinstance(outcomes[-1], Finished):
                self._known.pop(frame.session, None)
            return outcomes
        if isinstance(content, Clock):
            return await self._flow.set_clock(frame.session, frame.epoch, content)
        if isinstance(content, Rejected):
            return [content]
        raise TypeError(f"a {type(content).__name__} is not done on the side")

    def _done(self, session: SessionKey, count: int) -> None:
        lane = self._lanes[session]
        for _ in range(count):
            self._waiting_bytes -= lane.popleft().size + FRAME_BYTES
        if lane:
            # Behind the others: who always has more to say does not keep them waiting.
            self._lanes.move_to_end(session)
        else:
            del self._lanes[session]
        self._room.set()

    def _answer(self, session: SessionKey, epoch: int, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._tell(Result(session, epoch, outcome))


def _run(lane: deque[Frame]) -> tuple[Run, int]:
    """The batches at the head of a lane that are of one opening, and their size."""
    first = lane[0]
    batches: list[RawBatch] = []
    size = 0
    for frame in lane:
        if (
            frame.epoch != first.epoch
            or not isinstance(frame.content, RawBatch)
            or len(batches) >= MOST_BATCHES_PER_RUN
            or (batches and size + frame.size > MOST_BYTES_PER_COMMIT)
        ):
            break
        batches.append(frame.content)
        size += frame.size
    return Run(first.session, first.epoch, batches), size
