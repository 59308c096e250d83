"""The stores are killed under ingest: it goes on by itself, with nothing lost and nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mesh.runtime.errors import Unavailable
from services.training.tracker.flow import TrackerFlow
from tests.support.recorded_sessions import Recorded
from tests.support.stores import Stores
from tests.support.tracker_line import Line, batch, line
from tests.support.training_athlete import Athlete, events_of
from tests.support.training_worker import Worker

SESSIONS = 6
LENGTH = 150
PAUSE_S = 0.01
RECOVERY_S = 10.0


async def keep_sending(tracker: Line, session: Recorded) -> None:
    """A batch after the other, whether or not any is acknowledged."""
    for packed in list(session.batches):
        await tracker.send(batch(session, packed))
        await asyncio.sleep(PAUSE_S)


def recorded(runner: Athlete, length: int = LENGTH) -> list[Recorded]:
    made = [Recorded(runner.id) for _ in range(SESSIONS)]
    for session in made:
        for _ in range(length):
            session.go_on(8, samples=5)
    return made


@pytest.mark.parametrize("name", ["postgres", "redis"])
async def test_killed_twice_in_the_middle_of_ingest_it_costs_time_and_nothing_else(
    one: Worker, other: Worker, runner: Athlete, stores: Stores, name: str
) -> None:
    sessions = recorded(runner)
    workers = [one, other]
    async with line(one.channel) as left, line(other.channel) as right:
        lines = [left, right]
        for number, session in enumerate(sessions):
            await lines[number % 2].opened(session)
        sending = [
            asyncio.create_task(keep_sending(lines[number % 2], session))
            for number, session in enumerate(sessions)
        ]
        for _ in range(2):
            await asyncio.sleep(0.4)
            stores.kill(name)
            try:
                await asyncio.sleep(0.3)
            finally:
                stores.start(name)
        await asyncio.gather(*sending)
        async with asyncio.timeout(RECOVERY_S):
            for number, session in enumerate(sessions):
                await lines[number % 2].acknowledged(session, LENGTH)
                await lines[number % 2].finished(session)
        # The streams were never cut, and no device was told of any trouble.
        assert not [each for each in left.results + right.results if each.HasField("reject")]
    for number, session in enumerate(sessions):
        asked = workers[(number + 1) % 2]
        assert await runner.lost_or_doubled(asked, session) == []
        assert await events_of(asked, session.activity) == [("ActivityRecorded", 1)]


async def test_a_commit_whose_answer_was_lost_is_recognised_when_it_is_tried_again(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = recorded(runner, length=12)
    store = one.tracker.store
    answers = {"append": 0, "finish": 0, "create": 0}

    def losing(name: str) -> Any:
        do = getattr(store, name)

        async def run(*arguments: Any) -> Any:
            result = await do(*arguments)
            answers[name] += 1
            if answers[name] % 2:
                raise Unavailable("the connection broke after the commit")
            return result

        return run

    for name in answers:
        monkeypatch.setattr(store, name, losing(name))
    async with line(one.channel) as tracker:
        for session in sessions:
            await tracker.opened(session)
        for number in range(12):
            await tracker.send(*(batch(each, each.batches[number]) for each in sessions))
            await asyncio.sleep(0.01)
        for session in sessions:
            await tracker.acknowledged(session, 12)
            await tracker.finished(session)
        assert not [each for each in tracker.results if each.HasField("reject")]
    assert min(answers.values()) > 1
    for session in sessions:
        assert await runner.lost_or_doubled(one, session) == []
        assert await events_of(one, session.activity) == [("ActivityRecorded", 1)]


async def test_while_redis_hangs_ingest_and_acknowledgements_do_not(
    one: Worker, runner: Athlete, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    (session, *_) = recorded(runner, length=20)
    flow: TrackerFlow = one.tracker
    monkeypatch.setattr(flow.live.watchlist, "_watched", frozenset([session.activity]))

    async def hang(*_: Any, **__: Any) -> Sequence[Any]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(flow.live._redis, "execute_command", hang)
    monkeypatch.setattr(flow.live._redis, "pipeline", lambda **_: _Hanging())
    loop = asyncio.get_running_loop()
    async with line(one.channel) as tracker:
        await tracker.opened(session)
        begun = loop.time()
        for packed in session.batches:
            await tracker.send(batch(session, packed))
        await tracker.finished(session)
        assert loop.time() - begun < 3
    assert await runner.lost_or_doubled(one, session) == []


class _Hanging:
    """A pipeline to a Redis that does not answer."""

    def publish(self, *_: Any) -> None:
        pass

    async def execute(self) -> None:
        await asyncio.sleep(60)
