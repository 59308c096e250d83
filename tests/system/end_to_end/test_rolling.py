"""Services restart, grow and shrink under load, and nobody notices.

An open loop of REST requests that are never sent again, beside watches that stream all
the while: no request fails, and what is stored is what was sent.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mesh.local.places import ROOT
from palestra_watch.recording import Recording
from palestra_watch.replay import Speed
from palestra_watch.sources.simulate import simulate
from tests.load.http1 import request
from tests.load.limits import raised
from tests.support.athletes import Athlete, Club, club
from tests.support.local_stack import until
from tests.support.open_loop import OpenLoop
from tests.support.standstill import MOST_EXCUSED, watched
from tests.support.watches import Sent, Watch
from tests.support.whole_stack import WholeStack, whole_stack

RATE = 200.0
STREAMS = 50
CALLERS = 20
STEPS = (("restart", "{}"), ("scale", "{}=3"), ("scale", "{}=2"))
SERVICES = ("identity", "integration", "training")
SPEED = 3
LIVE_S = 100


def overrides() -> dict[str, Any]:
    """One caller does the work of many."""
    limits = raised()
    for method in ("ProfileService/GetProfile", "ProfileService/UpdateProfile"):
        limits["methods"][f"/palestra.identity.v1.{method}"] = {"limit": {"requests": 1_000_000}}
    return limits


@pytest.fixture(scope="module")
def stack() -> Iterator[WholeStack]:
    with whole_stack({"identity": 1, "integration": 1, "training": 1}, overrides()) as running:
        yield running


@pytest.fixture(scope="module")
def athletes(stack: WholeStack) -> Iterator[Club]:
    with club(stack) as opened:
        yield opened


def requests_of(athlete: Athlete, activity: str) -> Iterator[tuple[str, bytes]]:
    """Reads of every service, and a write."""
    host = f"127.0.0.1:{athlete.stack.port}"
    paths = ("users/me", "users/me/devices", activity, "users/me/activities?pageSize=20")
    for path in paths:
        name = "one activity" if path == activity else path
        yield name, request("GET", f"/v1/{path}", host=host, token=athlete.token)
    changed = {"displayName": "Vera"}
    path = "/v1/users/me?updateMask=displayName"
    yield "rename", request("PATCH", path, host=host, token=athlete.token, body=changed)


class Crowd:
    """Watches that stream one workout after the other, in a loop of their own."""

    def __init__(self, athletes: list[Athlete], folder: Path) -> None:
        self.watches = [
            Watch(athlete, folder / f"{number}", random.Random(number))
            for number, athlete in enumerate(athletes)
        ]
        self.sent: list[Sent] = []
        self.going_on = True

    async def run(self) -> None:
        for sent in await asyncio.gather(*(self._train(watch) for watch in self.watches)):
            self.sent += sent

    async def _train(self, watch: Watch) -> list[Sent]:
        sent = []
        while self.going_on:
            sent.append(await watch.send(await recording(LIVE_S), Speed(SPEED)))
        return sent

    def live(self) -> int:
        """How many have been heard."""
        return sum(watch.status.acknowledged_samples > 0 for watch in self.watches)


async def recording(duration_s: int) -> Recording:
    """A run that begins now."""
    return await asyncio.to_thread(simulate, "running", duration_s, 7, int(time.time() * 1000))


@contextmanager
def in_the_background(work: Any) -> Iterator[None]:
    thread = threading.Thread(target=lambda: asyncio.run(work.run()))
    thread.start()
    try:
        yield
    finally:
        work.going_on, work.ending = False, True
        thread.join()


def palestra(stack: WholeStack, *arguments: str) -> None:
    command = [sys.executable, "-m", "mesh.local", *arguments, f"--state={stack.state}"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def workout(athlete: Athlete, folder: Path) -> str:
    """An activity to be asked for."""

    async def send() -> Sent:
        return await Watch(athlete, folder).send(await recording(60))

    return asyncio.run(send()).report.activity


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_service_restarts_and_scales_under_load_and_nothing_fails(
    stack: WholeStack, athletes: Club, tmp_path: Path
) -> None:
    people = [athletes.register() for _ in range(STREAMS)]
    asked = [
        each
        for number, athlete in enumerate(people[:CALLERS])
        for each in requests_of(athlete, workout(athlete, tmp_path / f"first-{number}"))
    ]
    crowd = Crowd(people, tmp_path / "live")
    load = OpenLoop(stack.port, asked, RATE)
    with in_the_background(crowd):
        until(lambda: crowd.live() == STREAMS, 30.0, "every watch streams")
        with watched() as stops, in_the_background(load):
            for service in SERVICES:
                for command, argument in STEPS:
                    load.phase = f"{command} {argument.format(service)}"
                    palestra(stack, command, argument.format(service))
    tally = load.tally
    resumed = sum(each.report.resumed for each in crowd.sent)
    samples = sum(each.report.samples for each in crowd.sent)
    forgiven = stops.excused(tally.late)
    stood_still_s = sum(stop.ended_s - stop.begun_s for stop in stops.told)
    print(
        f"\n{tally.sent} requests, slowest {tally.slowest_s:.2f} s; {len(crowd.sent)} workouts, "
        f"{samples} samples, {resumed} resumptions; cores stood still {len(stops.told)} times, "
        f"{stood_still_s:.1f} s, late in it {forgiven.total()}"
    )
    assert set(tally.by_phase) > {"restart training"}
    assert tally.failures - forgiven == {}, (tally.words, stops, stack.logs())
    assert forgiven.total() <= MOST_EXCUSED * tally.sent, stops
    troubles = [str(each.report) for each in crowd.sent if not each.report.whole]
    for each in crowd.sent:
        troubles += asyncio.run(each.differences())
    assert troubles == []
    assert len(crowd.sent) >= STREAMS
