"""kill -9 at random instants while watches stream: nothing is lost, nothing is twice."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.support.athletes import Club
from tests.support.chaos import RECOVERY_S, TARGETS, Round
from tests.support.whole_stack import WholeStack

KILLS = 20
WATCHES = 10


def _assert_whole(done: Round) -> None:
    print(done.figures())
    troubles = done.unfinished()
    troubles += asyncio.run(done.lost_or_twice())
    troubles += done.events_lost_or_twice()
    print("\n".join(troubles))
    try:
        assert done.sent, "nothing was sent"
        assert troubles == []
        assert max(kill.use_s for kill in done.kills) < RECOVERY_S
        assert_fsync_is_on(done.stack)
    except AssertionError as error:
        error.add_note(done.stack.logs())
        raise


def assert_fsync_is_on(stack: WholeStack) -> None:
    """What was acknowledged is on the disk: no setting was traded for speed."""
    with stack.database() as database, stack.redis() as bus:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert database.execute(f"SHOW {setting}").fetchone() == ("on",)
        (unlogged,) = database.execute(
            "SELECT count(*) FROM pg_class WHERE relpersistence = 'u'"
        ).fetchone() or (None,)
        assert unlogged == 0
        assert bus.config_get("append*")["appendonly"] == "yes"
        assert bus.config_get("append*")["appendfsync"] == "always"


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_one_kill_of_each_kind_loses_nothing(athletes: Club, seed: int, tmp_path: Path) -> None:
    print(f"\nCHAOS_SEED={seed}")
    rng = random.Random(f"{seed} short")
    targets = list(TARGETS)
    rng.shuffle(targets)
    done = Round(athletes, rng, tmp_path)
    done.run(5, targets)
    assert {kill.process.split("-")[0] for kill in done.kills} == set(TARGETS)
    _assert_whole(done)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", TARGETS)
def test_kills_of_one_kind_lose_nothing(
    athletes: Club, seed: int, tmp_path: Path, target: str
) -> None:
    print(f"\nCHAOS_SEED={seed}")
    done = Round(athletes, random.Random(f"{seed} {target}"), tmp_path)
    done.run(WATCHES, [target] * KILLS)
    assert len(done.kills) == KILLS
    _assert_whole(done)
