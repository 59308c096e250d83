"""The companion's process killed at random instants, and run again."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.fake_telemetry import Mood, Store, telemetry_server
from tests.unit.watch.sessions import stored_columns

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]
KILLS = 6


async def start(*options: str) -> asyncio.subprocess.Process:
    """The companion as a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "palestra_watch",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def ledger_columns(path: Path) -> tuple[list[int], list[dict[str, Any]]]:
    """The samples that the companion says it sent, in their order."""
    lines: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        told = json.loads(line)
        if "renumbered_from" in told:
            lines = {k: v for k, v in lines.items() if k < told["renumbered_from"]}
        else:
            assert told["seq"] not in lines, "a batch was made twice"
            lines[told["seq"]] = told
    assert sorted(lines) == list(range(1, len(lines) + 1))
    batches = [lines[seq] for seq in sorted(lines)]
    return [time for batch in batches for time in batch["time_ms"]], batches


@pytest.mark.parametrize("seed", [11, 12])
async def test_kills_at_random_instants_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    store = Store()
    mood = Mood(seed=seed, window=3, max_batch_samples=9, ack_delay_s=0.03, cut=0.01)
    command = ["simulate", "--duration", "900", "--seed", str(seed), "--speed", "0", "--json"]
    command += ["--token", "t", "--state", str(tmp_path), "--ledger", str(tmp_path / "ledger")]
    async with telemetry_server(store, mood) as (_, target):
        command += ["--target", target]
        for _ in range(KILLS):
            process = await start(*command)
            opened = sum(each.opened for each in store.sessions.values())
            while sum(each.opened for each in store.sessions.values()) == opened:
                assert process.returncode is None, await process.communicate()
                await asyncio.sleep(0.005)
            await asyncio.sleep(rng.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
            await process.communicate()
        mood.ack_delay_s = 0.001
        process = await start(*command)
        output, errors = await process.communicate()
    assert process.returncode == 0, (output, errors)
    (report,) = json.loads(output)["sessions"]
    assert report["lost"] == 0
    assert report["whole"]
    assert report["resumed"] >= 1
    assert store.violations == []
    stored = store.only()
    assert stored.closed
    assert stored.opened >= KILLS + 1
    times, batches = ledger_columns(tmp_path / "ledger")
    stored_times, columns = stored_columns(stored)
    assert stored_times == times
    assert len(times) == report["samples"]
    for name, values in columns.items():
        told = [v for b in batches for v in b["channels"].get(name, [None] * len(b["time_ms"]))]
        np.testing.assert_array_equal(values, np.array(told, dtype=np.float64), err_msg=name)


async def test_what_cannot_begin_is_said_in_a_sentence(tmp_path: Path) -> None:
    for options, words in (
        (("replay", str(tmp_path / "none.fit"), "--token", "t"), "No such file"),
        (("replay", __file__, "--token", "t"), "is not a FIT file"),
        (("simulate", "--sport", "chess", "--token", "t"), "no synthetic athlete for 'chess'"),
        (("simulate",), "sign in first"),
        (("simulate", "--token-file", str(tmp_path / "none.json")), "does not exist"),
    ):
        process = await start(*options, "--state", str(tmp_path))
        output, errors = await process.communicate()
        assert process.returncode == 2, errors
        assert words in errors.decode()
        assert "Traceback" not in errors.decode()
        assert output == b""


async def test_an_interrupted_companion_says_that_the_rest_is_kept(tmp_path: Path) -> None:
    store = Store()
    async with telemetry_server(store, Mood()) as (_, target):
        options = ["--token", "t", "--target", target, "--state", str(tmp_path)]
        process = await start("simulate", "--duration", "600", *options)
        while not store.sessions:
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert process.returncode == 130
    assert "is kept" in errors.decode()
