"""Use cases of live sessions: open, append, close, set the clock.

Loads, lets the rules decide, saves under the same conditions, and looks again
where another worker was faster. Nothing is acknowledged before it is durable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from mesh.runtime import outbox
from mesh.runtime.clock import Clock as ReadClock
from mesh.runtime.errors import Unavailable
from palestra.training.v1 import activity_pb2, telemetry_pb2
from services.training.activities import encoding
from services.training.activities.rules.audiences import Audience
from services.training.keys import SessionKey
from services.training.live import LiveBus, finished_event
from services.training.samples.encoding import stored_channels
from services.training.samples.rules import batches, channels, chunks
from services.training.samples.rules.batches import RawBatch
from services.training.samples.rules.channels import ChannelSpec
from services.training.samples.rules.errors import BatchMalformed, SessionRefusal
from services.training.sharing.defaults import Defaults
from services.training.tracker import finishing, live_update
from services.training.tracker.frames import (
    Acknowledged,
    Clock,
    Closing,
    Finished,
    Opened,
    Opening,
    Outcome,
    Rejected,
)
from services.training.tracker.rules import sessions
from services.training.tracker.rules.sessions import (
    BatchAction,
    ClockReading,
    CloseAction,
    OpenAction,
    SessionRow,
)
from services.training.tracker.store import (
    Append,
    FinishedActivity,
    NewActivity,
    StoredSession,
    TrackerStore,
)

TRIES: Final = 5
ENDS_AT_ONCE: Final = 4
"""Sessions that end at the same time in this worker. A race's watches all stop at once: what
is asked meanwhile finds connections of the database free, and no queue of ends before it."""
SHORT_BYTES: Final = 64 << 10
"""Of batches, some 1,000 samples of ten channels: what is made whole in the loop itself, in a
millisecond or two. A thread would cost more: it and the loop take the interpreter from each
other at every system call."""
PAUSES: Final = 5
"""How many times as long as one of these took, the loop has for others before the next: who
reads meanwhile waits for one of them, and not for all that end together. The longer for a
machine that is short of time, since what is measured is the clock's."""


class Run(NamedTuple):
    """Consecutive batches of one session, to be committed together."""

    session: SessionKey
    epoch: int
    batches: Sequence[RawBatch]


@dataclass(slots=True)
class Known:
    """What this worker remembers of a session: a hint, checked by each commit."""

    row: SessionRow
    channels: tuple[ChannelSpec, ...]
    started_ms: int


@dataclass(slots=True)
class _Plan:
    """What a run asks of the store, and its answers if the store agrees."""

    run: Run
    outcomes: list[Outcome]
    accepted: list[RawBatch]
    samples: int = 0
    refused: bool = False
    row: SessionRow | None = None
    """The session's row once this is committed."""


@dataclass(slots=True)
class TrackerFlow:
    """The life of live sessions."""

    store: TrackerStore
    live: LiveBus
    clock: ReadClock
    defaults: Defaults
    _ending: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ENDS_AT_ONCE))
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="summary")
    )

    async def open(self, session: SessionKey, epoch: int, opening: Opening) -> list[Outcome]:
        """Makes or takes over a session; every older opening is fenced from then on."""
        try:
            checked = channels.check_description(opening.channels)
            fingerprint = channels.fingerprint(checked)
            for _ in range(TRIES):
                stored = await self.store.session(session)
                row = stored.row if stored else None
                decision = sessions.decide_open(row, epoch, fingerprint)
                if stored is not None and decision.action is OpenAction.FINISHED:
                    return [Opened(decision.resume_from_seq), Finished(stored.touched_at)]
                if await self._apply(decision, session, epoch, opening, fingerprint, row):
                    return [Opened(decision.resume_from_seq)]
        except SessionRefusal as refusal:
            # Sent again, the same opening would fare no better.
            return [_rejected(refusal)._replace(final=True)]
        raise Unavailable("the session is contended")

    async def _apply(
        self,
        decision: sessions.OpenDecision,
        session: SessionKey,
        epoch: int,
        opening: Opening,
        fingerprint: bytes,
        row: SessionRow | None,
    ) -> bool:
        if row is None:
            description = telemetry_pb2.SessionDescription.FromString(opening.encoded)
            activity = encoding.begun(session.activity, description, self.clock())
            new = NewActivity(
                session,
                activity.state,
                opening.sport,
                opening.started_at,
                activity.SerializeToString(),
            )
            return await self.store.create(new, epoch, opening, fingerprint)
        if decision.replace_description:
            return await self.store.describe(session, epoch, opening, fingerprint)
        if decision.action is OpenAction.REPEAT:
            return True
        return await self.store.take_over(session, epoch, row.last_seq)

    async def append(
        self, runs: Sequence[Run], known: dict[SessionKey, Known]
    ) -> list[list[Outcome]]:
        """Commits runs of several sessions in one statement; the outcomes of each run.

        `known` is this worker's memory: used, corrected, kept. A run without outcomes is
        of a session that other streams change all the time: nothing of it was decided.
        """
        outcomes: dict[int, list[Outcome]] = {}
        waiting = list(range(len(runs)))
        for _ in range(TRIES):
            plans = await self._plans([runs[index] for index in waiting], known)
            committed = await self._commit([plan for plan in plans if plan.accepted])
            settled = []
            for index, plan in zip(waiting, plans, strict=True):
                if not plan.accepted or plan.run.session in committed:
                    outcomes[index] = plan.outcomes
                    settled.append(plan)
                else:
                    # The store knew better than this worker's memory.
                    known.pop(plan.run.session, None)
            _remember(settled, known)
            self._show(settled, known)
            waiting = [index for index in waiting if index not in outcomes]
            if not waiting:
                break
        return [outcomes.get(index, []) for index in range(len(runs))]

    async def _plans(self, runs: Sequence[Run], known: dict[SessionKey, Known]) -> list[_Plan]:
        strangers = [run.session for run in runs if run.session not in known]
        await self._learn(strangers, known)
        plans = [_decide(run, known.get(run.session)) for run in runs]
        # What would be refused is refused by what is stored, not by what is remembered.
        doubtful = {plan.run.session for plan in plans if plan.refused}.difference(strangers)
        await self._learn(list(doubtful), known)
        return [
            _decide(plan.run, known.get(plan.run.session)) if plan.run.session in doubtful else plan
            for plan in plans
        ]

    async def _learn(self, sessions: Sequence[SessionKey], known: dict[SessionKey, Known]) -> None:
        if not sessions:
            return
        stored = await self.store.sessions(sessions)
        for session in sessions:
            known.pop(session, None)
            if session in stored:
                known[session] = _known(stored[session])

    async def _commit(self, plans: Sequence[_Plan]) -> set[SessionKey]:
        if not plans:
            return set()
        return await self.store.append(
            [
                Append(
                    plan.run.session,
                    plan.run.epoch,
                    plan.accepted[0].seq,
                    plan.accepted[-1].seq,
                    plan.samples,
                    chunks.encode_batches(plan.accepted),
                )
                for plan in plans
            ]
        )

    def _show(self, plans: Sequence[_Plan], known: dict[SessionKey, Known]) -> None:
        for plan in plans:
            session = plan.run.session
            if plan.accepted and session.activity in self.live.watchlist:
                memory = known[session]
                newest = live_update.update(plan.accepted[-1], memory.channels, memory.started_ms)
                self.live.offer(session.activity, newest)

    async def set_clock(self, session: SessionKey, epoch: int, clock: Clock) -> list[Outcome]:
        """Keeps the best reading of the device's clock; silent where it is no better."""
        stored = await self.store.session(session)
        try:
            best = sessions.decide_clock(
                stored.row if stored else None,
                epoch,
                ClockReading(*stored.clock) if stored and stored.clock else None,
                ClockReading(*clock),
            )
        except SessionRefusal as refusal:
            return [_rejected(refusal)]
        if best is not None:
            await self.store.keep_clock(session, epoch, clock)
        return []

    async def close(self, session: SessionKey, epoch: int, closing: Closing) -> list[Outcome]:
        """Makes the activity whole; repeated, answers the same."""
        async with self._ending:
            return await self._close(session, epoch, closing)

    async def _close(self, session: SessionKey, epoch: int, closing: Closing) -> list[Outcome]:
        for _ in range(TRIES):
            stored = await self.store.session(session)
            try:
                action = sessions.decide_close(
                    stored.row if stored else None, epoch, closing.last_seq
                )
            except SessionRefusal as refusal:
                return [_rejected(refusal)]
            if stored is None or action is CloseAction.FINISHED:
                return [Finished(stored.touched_at if stored else self.clock())]
            ended_at = self.clock()
            if await self._finish(session, epoch, stored, closing, ended_at):
                self.live.offer(session.activity, finished_event())
                return [Finished(ended_at)]
        raise Unavailable("the session is contended")

    async def _finish(
        self,
        session: SessionKey,
        epoch: int,
        stored: StoredSession,
        closing: Closing,
        ended_at: datetime,
    ) -> bool:
        recorded = await self.store.recorded(session)
        if recorded is None:
            raise BatchMalformed("the session has no activity")
        chosen = activity_pb2.Activity.FromString(recorded.message).audience
        audience = Audience(chosen) if chosen else await self.defaults.audience(session.user_id)
        ended = finishing.Ended(
            session, epoch, stored, recorded, closing.summary, ended_at, audience
        )
        if len(recorded.chunks) <= SHORT_BYTES:
            done, event = await self._in_the_loop(ended)
        else:
            # Tens of milliseconds; live ones must not wait for it.
            done, event = await asyncio.get_running_loop().run_in_executor(
                self._pool, finishing.finish, ended
            )
        return await self.store.finish(done, event)

    async def _in_the_loop(self, ended: finishing.Ended) -> tuple[FinishedActivity, outbox.Message]:
        await self._turn.acquire()
        begun = time.monotonic()
        try:
            return finishing.finish(ended)
        finally:
            pause_s = PAUSES * (time.monotonic() - begun)
            asyncio.get_running_loop().call_later(pause_s, self._turn.release)


def _decide(run: Run, memory: Known | None) -> _Plan:
    plan = _Plan(run, [], [])
    row = memory.row if memory else None
    for batch in run.batches:
        try:
            action = sessions.decide_batch(row, run.epoch, batch.seq)
            if row is None or memory is None:
                raise LookupError("the rules take a batch of a session that is not there")
            if action is BatchAction.ACCEPT:
                plan.samples += batches.check_batch(batch, memory.channels)
                plan.accepted.append(batch)
                row = row.after_batch()
            if plan.outcomes and isinstance(plan.outcomes[-1], Acknowledged):
                plan.outcomes.pop()
            plan.outcomes.append(Acknowledged(row.last_seq))
        except SessionRefusal as refusal:
            plan.refused = True
            if row is not None:
                refusal.resume_from_seq = row.resume_from_seq
            plan.outcomes.append(_rejected(refusal, batch.seq))
    plan.row = row
    return plan


def _remember(plans: Sequence[_Plan], known: dict[SessionKey, Known]) -> None:
    for plan in plans:
        memory = known.get(plan.run.session)
        if memory is not None and plan.row is not None:
            memory.row = plan.row


def _known(stored: StoredSession) -> Known:
    description = telemetry_pb2.SessionDescription.FromString(stored.description)
    return Known(stored.row, stored_channels(description), description.start_time.ToMilliseconds())


def _rejected(refusal: SessionRefusal, seq: int = 0) -> Rejected:
    return Rejected(
        seq or refusal.seq, refusal.reason, str(refusal), refusal.final, refusal.resume_from_seq
    )
