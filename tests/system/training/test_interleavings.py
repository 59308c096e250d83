"""Random interleavings on three workers: whatever comes in whatever order, the ledger holds."""

from __future__ import annotations

import asyncio
import random
import secrets
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest

from palestra.training.v1 import telemetry_pb2
from palestra.training.v1 import tracker_service_pb2 as pb
from tests.support.made_tokens import Signer
from tests.support.recorded_sessions import Recorded
from tests.support.stores import Stores
from tests.support.tracker_line import Line, batch, closing, line, opening
from tests.support.training_athlete import Athlete, athlete, events_of
from tests.support.training_worker import Worker, worker

SESSIONS = 20
WORKERS = 3
LENGTH = 25
LIMIT_S = 60.0


class Durable:
    """Asks the database, while nobody else gets a turn, whether an acknowledgement is true."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._chance = chance
        self.checked = 0
        self.untrue: list[str] = []

    def __call__(self, result: pb.SessionResult) -> None:
        if not result.acknowledged_seq or self._chance.random() > 0.2:
            return
        found = self._connection.execute(
            "SELECT last_seq FROM sessions WHERE session_id = %s", (result.session[-36:],)
        ).fetchone()
        self.checked += 1
        if found is None or found[0] < result.acknowledged_seq:
            self.untrue.append(f"{result.session} at {result.acknowledged_seq}, stored: {found}")

    def close(self) -> None:
        self._connection.close()


class Lines:
    """A line to each worker, cut and made anew at will."""

    def __init__(self, workers: list[Worker], durable: Durable, stack: AsyncExitStack) -> None:
        self._workers = workers
        self._durable = durable
        self._stack = stack
        self.now: list[Line] = []

    async def connect(self, number: int) -> None:
        made = await self._stack.enter_async_context(
            line(self._workers[number].channel, self._durable)
        )
        if number < len(self.now):
            self.now[number] = made
        else:
            self.now.append(made)

    async def cut(self, number: int) -> None:
        self.now[number].stream.cancel()
        await self.connect(number)


class Device:
    """Sends a session with every mistake that a network can make, until it is finished."""

    def __init__(self, session: Recorded, lines: Lines, chance: random.Random) -> None:
        self.session = session
        self._lines = lines
        self._chance = chance
        self._epoch = 0
        self._line: Line | None = None
        self._stored = 0

    async def run(self) -> None:
        while not await self._turn():
            await asyncio.sleep(self._chance.random() * 0.01)

    async def _turn(self) -> bool:
        """One thing that a device does; whether it heard of its end."""
        if self._line not in self._lines.now or self._chance.random() < 0.08:
            await self._open()
        assert self._line is not None
        self._look()
        if any(each.HasField("finished") for each in self._line.of(self.session)):
            return True
        frames = self._mess() if self._stored < LENGTH else [self._close()]
        for each in frames:
            # A line that was cut takes nothing more.
            await asyncio.gather(self._line.send(each), return_exceptions=True)
        return False

    async def _open(self) -> None:
        older = self._line
        self._line = self._chance.choice(self._lines.now)
        if self._epoch == 0 or self._chance.random() < 0.7:
            self._epoch += 1
        await asyncio.gather(
            self._line.send(opening(self.session, self._epoch)), return_exceptions=True
        )
        if older in self._lines.now and self._chance.random() < 0.5:
            # The older stream does not know yet, and goes on.
            first = self._stored + 1
            late = [
                batch(self.session, each, max(self._epoch - 1, 1)) for each in self._some(first)
            ]
            await asyncio.gather(older.send(*late), return_exceptions=True)

    def _some(self, first: int) -> list[telemetry_pb2.Batch]:
        return self.session.batches[first - 1 : first - 1 + self._chance.randint(1, 6)]

    def _mess(self) -> list[pb.SessionFrame]:
        """Some batches from where it should go on: repeated, left out, in another order."""
        frames = [batch(self.session, each, self._epoch) for each in self._some(self._stored + 1)]
        match self._chance.randrange(6):
            case 0:
                self._chance.shuffle(frames)
            case 1:
                frames += frames
            case 2:
                earlier = batch(self.session, self.session.batches[0], self._epoch)
                frames.insert(0, earlier)
            case 3:
                frames.append(self._close())
            case 4:
                frames.insert(0, opening(self.session, self._epoch))
        return frames

    def _close(self) -> pb.SessionFrame:
        return closing(self.session, self._epoch)

    def _look(self) -> None:
        """Goes on where it was last told, as it must, for nothing else is certain."""
        assert self._line is not None
        for each in self._line.of(self.session):
            if each.acknowledged_seq:
                self._stored = max(self._stored, each.acknowledged_seq)
            if each.HasField("reject"):
                known = each.reject.reason in (
                    "BATCH_OUT_OF_ORDER",
                    "SESSION_FENCED",
                    "SESSION_UNKNOWN",
                    "SESSION_CLOSED",
                )
                assert known, each
                assert each.reject.resume_from_seq > 0, each


@pytest.fixture
def seed() -> int:
    """Drawn for each run; printed, so that a failure can be had again."""
    return secrets.randbelow(10**6)


async def test_what_is_stored_is_what_was_recorded_however_it_came(
    folder: Path, stores: Stores, signer: Signer, seed: int
) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    people = [athlete(signer) for _ in range(4)]
    sessions = [Recorded(people[number % 4].id) for number in range(SESSIONS)]
    for number, session in enumerate(sessions):
        for _ in range(LENGTH):
            session.go_on(seed + number, samples=5)
    durable = Durable(stores.database_url("training"), chance)
    try:
        async with AsyncExitStack() as stack:
            workers = [
                await stack.enter_async_context(worker(folder, stores, signer, number))
                for number in range(WORKERS)
            ]
            lines = Lines(workers, durable, stack)
            for number in range(WORKERS):
                await lines.connect(number)
            await _drive(lines, sessions, chance)
            for number, session in enumerate(sessions):
                await _check(workers[number % WORKERS], people[number % 4], session)
    finally:
        durable.close()
    assert durable.checked > SESSIONS
    assert durable.untrue == []


async def _drive(lines: Lines, sessions: list[Recorded], chance: random.Random) -> None:
    devices = [
        asyncio.create_task(Device(each, lines, random.Random(chance.random())).run())
        for each in sessions
    ]

    async def cut() -> None:
        while True:
            await asyncio.sleep(chance.uniform(0.02, 0.2))
            await lines.cut(chance.randrange(WORKERS))

    cutting = asyncio.create_task(cut())
    try:
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*devices)
    finally:
        for task in (cutting, *devices):
            task.cancel()
        await asyncio.gather(cutting, *devices, return_exceptions=True)


async def _check(asked: Worker, person: Athlete, session: Recorded) -> None:
    assert await person.lost_or_doubled(asked, session) == []
    assert await events_of(asked, session.activity) == [("ActivityRecorded", 1)]
