"""One session's trouble is its own: the others on its stream go on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from services.training.keys import SessionKey
from services.training.samples.rules import batches as batch_rules
from services.training.tracker import flow as tracker_flow
from tests.support.recorded_sessions import Recorded
from tests.support.tracker_line import batches, line, opening
from tests.support.training_athlete import Athlete
from tests.support.training_worker import Worker


def sessions_of(runner: Athlete, count: int, length: int = 3) -> list[Recorded]:
    made = [Recorded(runner.id) for _ in range(count)]
    for session in made:
        for _ in range(length):
            session.go_on(6)
    return made


async def test_an_exception_in_one_sessions_batch_leaves_the_others_of_its_group_whole(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, *healthy = sessions_of(runner, 20)
    poison = sick.batches[1].first_time_ms, sick.batches[1].columns[0].values

    def check(batch: Any, channels: Any) -> int:
        if (batch.first_time_ms, batch.columns[0].values) == poison:
            raise ZeroDivisionError("nobody foresaw this")
        return batch_rules.check_batch(batch, channels)

    monkeypatch.setattr(tracker_flow, "batches", _Rules(check))
    async with line(one.channel) as tracker:
        everyone = [sick, *healthy]
        await tracker.send(*(opening(each) for each in everyone))
        await tracker.send(*(frame for each in everyone for frame in batches(each)))
        await asyncio.gather(*(tracker.acknowledged(each, 3) for each in healthy))
        await tracker.until(lambda: tracker.rejects(sick))
        (refused,) = tracker.rejects(sick)
        assert (refused.reason, refused.final) == ("SESSION_UNKNOWN", True)
        assert "ZeroDivision" not in refused.detail
        monkeypatch.undo()
        assert await tracker.opened(sick, 2) <= 3
        await tracker.send(*batches(sick, epoch=2))
        await tracker.finished(sick, 2)
        for each in healthy:
            await tracker.finished(each)
    for each in everyone:
        assert await runner.lost_or_doubled(one, each) == []


class _Rules:
    """The rules of batches with another check."""

    def __init__(self, check: object) -> None:
        self.check_batch = check


async def test_a_slow_open_and_a_broken_one_hold_up_nobody_else(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, broken, *others = sessions_of(runner, 10)
    store = one.tracker.store
    ask = store.session

    released = asyncio.Event()

    async def session(key: SessionKey) -> Any:
        if key.session_id == slow.id:
            await released.wait()
        if key.session_id == broken.id:
            raise ZeroDivisionError
        return await ask(key)

    monkeypatch.setattr(store, "session", session)
    async with line(one.channel) as tracker:
        everyone = [slow, broken, *others]
        await tracker.send(*(opening(each) for each in everyone))
        await tracker.send(*(frame for each in everyone for frame in batches(each)))
        await asyncio.gather(*(tracker.acknowledged(each, 3) for each in others))
        assert not tracker.of(slow)
        assert tracker.rejects(broken)[0].reason == "SESSION_UNKNOWN"
        released.set()
        await tracker.acknowledged(slow, 3)
        await tracker.finished(slow)
    assert await runner.lost_or_doubled(one, slow) == []


async def test_a_session_that_always_has_more_to_say_does_not_keep_the_others_waiting(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.training.tracker import ingest

    monkeypatch.setattr(ingest, "MOST_SESSIONS_PER_COMMIT", 2)
    monkeypatch.setattr(ingest, "MOST_BATCHES_PER_RUN", 1)
    greedy = sessions_of(runner, 2, length=200)
    (modest,) = sessions_of(runner, 1)
    async with line(one.channel) as tracker:
        for each in (*greedy, modest):
            await tracker.opened(each)
        await tracker.send(*(frame for each in greedy for frame in batches(each)))
        await tracker.send(*batches(modest))
        await tracker.acknowledged(modest, 3)
        assert max(tracker.last_ack(each) for each in greedy) < 100


async def test_many_sessions_share_a_commit(
    one: Worker, runner: Athlete, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = sessions_of(runner, 40, length=10)
    store = one.tracker.store
    append = store.append
    commits: list[int] = []

    async def counted(appends: Sequence[Any]) -> Any:
        commits.append(len(appends))
        return await append(appends)

    monkeypatch.setattr(store, "append", counted)
    async with line(one.channel) as tracker:
        await tracker.send(*(opening(each) for each in sessions))
        await tracker.until(lambda: len(tracker.results) == len(sessions))
        for number in range(10):
            await tracker.send(*(batches(each)[number] for each in sessions))
        await asyncio.gather(*(tracker.acknowledged(each, 10) for each in sessions))
    assert sum(commits) >= len(sessions)
    assert len(commits) <= 15, commits
