"""Clients of the archive that the edge gives away, in Go, Java and TypeScript, do one scenario."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway import downloads
from tests.polyglot import scenario
from tests.polyglot.languages import BUILD_S, BUILDERS, Client, NotThereError
from tests.support.athletes import Athlete, Club
from tests.support.live_run import LiveRun, live_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * BUILD_S)]

SCENARIO_S = 60.0
# How long an update is waited for before the watch is held not to be known to the worker yet.
HEARD_S = 0.5
HOUR_MS = 3_600_000
# By the language, and what its command is told beside: what this transport lacks.
CASES: Mapping[tuple[str, ...], frozenset[str]] = {
    ("go",): frozenset(),
    ("java",): frozenset(),
    ("ts", "grpc"): frozenset(),
    ("ts", "grpc-web"): frozenset({"bidi"}),
}
HEART_RATES: tuple[int, ...] = tuple(
    each["expect"]["heartRateBpm"]
    for each in scenario.scenario()["steps"]
    if each["step"] == "heard"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, athletes: Club) -> Callable[[str], Client]:
    """Builds a language's client of what the edge has for download, once; skips where it cannot."""
    clients: dict[str, Client | NotThereError] = {}
    with athletes.anonymous() as browser:
        archive = browser.get(f"/docs/{downloads.ZIP}").raise_for_status().content

    def build(language: str) -> Client:
        if language not in clients:
            folder = tmp_path_factory.mktemp(language)
            (folder / downloads.ZIP).write_bytes(archive)
            try:
                clients[language] = BUILDERS[language](folder)
            except NotThereError as reason:
                clients[language] = reason
        found = clients[language]
        if isinstance(found, NotThereError):
            pytest.skip(f"no {language} client: {found}")
        return found

    return build


async def past_runs(athlete: Athlete) -> tuple[list[str], list[int]]:
    """Two finished runs and how many samples each has, the newest first."""
    names, counts = [], []
    now_ms = int(time.time()) * 1000
    for hours_ago, seconds in ((1, 3), (2, 2)):
        async with live_run(athlete, now_ms - hours_ago * HOUR_MS) as run:
            for second in range(seconds):
                await run.second(100 + second, 3.0, 55.75, 37.61)
            names.append(await run.close())
            counts.append(seconds)
    return names, counts


class Told:
    """A client's lines, as they come."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    async def read(self, process: Process) -> None:
        """Takes lines in until the client has no more."""
        assert process.stdout is not None
        async for text in process.stdout:
            self.lines.append(json.loads(text))
            self._more.set()

    async def until(self, line: Mapping[str, Any]) -> None:
        """Waits for a line."""
        while line not in self.lines:
            self._more.clear()
            await self._more.wait()


async def run_on(run: LiveRun, told: Told) -> None:
    """The run that the client watches, to its end: each second again until it was heard."""
    await told.until({"step": "watching"})
    for heart_rate in HEART_RATES:
        heard = asyncio.ensure_future(told.until({"step": "heard", "heartRateBpm": heart_rate}))
        while not heard.done():
            await run.second(heart_rate, 3.0, 55.75, 37.61)
            await asyncio.wait([heard], timeout=HEARD_S)
    await run.close()


@asynccontextmanager
async def started(client: Client, arguments: tuple[str, ...]) -> AsyncIterator[Process]:
    """The client's process, which is gone at the end."""
    process = await asyncio.create_subprocess_exec(
        *client.command, *arguments, cwd=client.folder, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def played(
    client: Client, arguments: tuple[str, ...], inputs: Mapping[str, str], run: LiveRun
) -> list[dict[str, Any]]:
    """The client's lines; it must end well."""
    told = Told()
    async with started(client, arguments) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        errors = asyncio.ensure_future(process.stderr.read())
        runs = asyncio.ensure_future(run_on(run, told))
        try:
            process.stdin.write(json.dumps(inputs).encode())
            process.stdin.close()
            await asyncio.wait_for(told.read(process), SCENARIO_S)
            assert await process.wait() == 0, (told.lines, (await errors).decode())
        finally:
            runs.cancel()
            (ended,) = await asyncio.gather(runs, return_exceptions=True)
    # Where the client did not hear all, the comparison says so; all else is a fault of ours.
    assert ended is None or isinstance(ended, asyncio.CancelledError), ended
    return told.lines


@pytest.mark.parametrize("case", CASES, ids="-".join)
async def test_a_generated_client_does_the_scenario(
    case: tuple[str, ...], built: Callable[[str], Client], athletes: Club
) -> None:
    client = built(case[0])
    athlete = athletes.register()
    session = str(uuid.uuid4())
    names, counts = await past_runs(athlete)
    async with live_run(athlete) as run:
        known = {
            "user": athlete.user,
            "activities": [run.activity, *names],
            "pages": 1 + len(names),
            "sampleCounts": [0, *counts],
            "recorded": f"{athlete.user}/activities/{session}",
        }
        inputs = {
            "target": athlete.stack.target,
            "email": athlete.email,
            "password": athlete.password,
            "newEmail": f"{secrets.token_hex(8)}@example.com",
            "newPassword": secrets.token_urlsafe(12),
            "missing": f"{athlete.user}/activities/{uuid.uuid4()}",
            "live": run.activity,
            "session": session,
        }
        assert inputs.keys() == scenario.scenario()["inputs"].keys()
        lines = await played(client, case[1:], inputs, run)
    assert scenario.differences(scenario.expected(known, CASES[case]), lines) == []
