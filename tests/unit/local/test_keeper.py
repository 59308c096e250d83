"""One kept process, with real small processes and probes that the test decides."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

from mesh.local import keeper as keeping
from mesh.local import places, procfs
from mesh.local.errors import StackError
from mesh.local.keeper import Keeper, State
from mesh.local.spec import Health, Probe, Spec, Stage


def stubborn(folder: Path) -> str:
    """Says when it does not hear SIGTERM any more: before that it would."""
    return f"trap '' TERM; : > {folder}/deaf; while :; do sleep 0.1; done"


def always(health: Health) -> Probe:
    async def probe(_pid: int) -> AsyncGenerator[Health, None]:
        while True:
            yield health
            await asyncio.sleep(0.01)

    return probe


def serving_then(health: Health) -> Probe:
    async def probe(_pid: int) -> AsyncGenerator[Health, None]:
        yield Health.SERVING
        while True:
            yield health
            await asyncio.sleep(0.01)

    return probe


def spec(script: str, probe: Probe, **more: object) -> Spec:
    made = {"name": "sh", "stage": Stage.STORES, "argv": ("/bin/sh", "-c", script), "probe": probe}
    return Spec(**(made | {"env": dict(os.environ)} | more))  # type: ignore[arg-type]


def keeper(folder: Path, made: Spec) -> tuple[Keeper, list[State]]:
    seen: list[State] = []
    where = places.prepare(folder / "s")
    return Keeper(made, where, lambda each: seen.append(each.state)), seen


async def until(holds: Callable[[], object], limit_s: float = 5.0) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():
            await asyncio.sleep(0.01)


async def ended(kept: Keeper, begin: Callable[[], Awaitable[None]]) -> None:
    pid = kept.identity.pid if kept.identity else None
    await begin()
    assert kept.state is State.STOPPED
    assert pid is None or procfs.identify(pid) is None


async def test_a_process_that_never_serves_is_killed_and_tried_again(tmp_path: Path) -> None:
    kept, _ = keeper(tmp_path, spec("exec sleep 60", always(Health.NOT_SERVING), start_s=0.2))
    kept.start()
    await until(lambda: kept.restarts == 1)
    assert kept.failures == 1
    assert kept.last_end == "did not serve within 0 s"
    await ended(kept, kept.stop)


async def test_a_process_that_falls_silent_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "SILENCE_S", 0.2)
    kept, seen = keeper(tmp_path, spec("exec sleep 60", serving_then(Health.SILENT)))
    kept.start()
    await until(lambda: kept.restarts == 1)
    assert kept.last_end.startswith("was silent")
    assert kept.failures == 0
    assert seen.index(State.SERVING) < seen.index(State.NOT_SERVING) < seen.index(State.WAITING)
    await ended(kept, kept.stop)


async def test_a_process_that_says_not_serving_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "SILENCE_S", 0.1)
    kept, _ = keeper(tmp_path, spec("exec sleep 60", serving_then(Health.NOT_SERVING)))
    kept.start()
    await until(lambda: kept.state is State.NOT_SERVING)
    await asyncio.sleep(0.4)
    assert (kept.state, kept.restarts) == (State.NOT_SERVING, 0)
    await ended(kept, kept.stop)


async def test_a_process_that_ignores_the_stop_is_killed_after_its_time(tmp_path: Path) -> None:
    kept, _ = keeper(tmp_path, spec(stubborn(tmp_path), always(Health.SERVING), stop_s=0.3))
    kept.start()
    await until((tmp_path / "deaf").exists)
    await until(lambda: kept.state is State.SERVING)
    await ended(kept, kept.stop)
    assert kept.last_end == "ended by SIGKILL"


async def test_a_second_request_to_stop_hurries_the_first(tmp_path: Path) -> None:
    kept, _ = keeper(tmp_path, spec(stubborn(tmp_path), always(Health.SERVING), stop_s=60.0))
    kept.start()
    await until((tmp_path / "deaf").exists)
    await until(lambda: kept.state is State.SERVING)
    stopping = asyncio.create_task(kept.stop())
    await until(lambda: kept.state is State.STOPPING)
    kept.hurry()
    async with asyncio.timeout(keeping.HURRIED_S + 1):
        await stopping


async def test_what_a_process_started_does_not_outlive_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {note}; wait"
    kept, _ = keeper(tmp_path, spec(script, always(Health.SERVING)))
    kept.start()
    await until(lambda: note.exists() and note.read_text().strip())
    child = int(note.read_text())
    assert kept.identity is not None
    os.kill(kept.identity.pid, signal.SIGKILL)
    await until(lambda: procfs.identify(child) is None)
    await ended(kept, kept.stop)


async def test_a_program_that_is_not_there_is_a_failed_run(tmp_path: Path) -> None:
    kept, _ = keeper(tmp_path, spec("", always(Health.SILENT), argv=("/no/such/program",)))
    kept.start()
    await until(lambda: kept.failures == 1)
    assert kept.last_end == "ended with status 127"
    assert "cannot start /no/such/program" in (tmp_path / "s/logs/sh.log").read_text()
    await ended(kept, kept.stop)


async def test_a_refusal_before_the_start_is_kept_as_the_reason(tmp_path: Path) -> None:
    def refuse() -> None:
        raise StackError("made by another version")

    kept, _ = keeper(tmp_path, spec("exec sleep 60", always(Health.SERVING), before=refuse))
    kept.start()
    await until(lambda: kept.refusal)
    assert str(kept.refusal) == "made by another version"
    await ended(kept, kept.stop)


async def test_a_stop_between_two_runs_prevents_the_next(tmp_path: Path) -> None:
    kept, seen = keeper(tmp_path, spec("exit 3", always(Health.SILENT)))
    kept.start()
    await until(lambda: kept.state is State.WAITING)
    await ended(kept, kept.stop)
    count = len(seen)
    await asyncio.sleep(0.5)
    assert len(seen) == count
