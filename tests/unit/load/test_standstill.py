"""A core's standing still is told by who was stopped, and only by who comes first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from mesh.local.places import ROOT
from tests.support.standstill import NOTICED_S, Stop, Stops, told, watched

STOPPED_S = 3 * NOTICED_S


def test_who_is_stopped_tells_when() -> None:
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "tests.support.standstill", str(core)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as looker:
        assert looker.stdout is not None
        first = looker.stdout.readline() == "first\n"
        begun = time.monotonic()
        os.kill(looker.pid, signal.SIGSTOP)
        # What it is to tell, and not a wait for anything.
        time.sleep(STOPPED_S)
        os.kill(looker.pid, signal.SIGCONT)
        ended = time.monotonic()
        seen = told(looker)
    if not first:
        assert seen == []
        return
    assert any(
        stop.core == core
        and stop.begun_s <= begun + NOTICED_S
        and stop.ended_s >= ended - NOTICED_S
        for stop in seen
    ), seen


def test_every_core_is_looked_at_and_nobody_stays() -> None:
    with watched() as stops:
        pass
    assert {stop.core for stop in stops.told} <= os.sched_getaffinity(0)
    assert all(stop.ended_s - stop.begun_s > NOTICED_S for stop in stops.told)


def test_a_span_meets_a_stop_or_not() -> None:
    stops = Stops([Stop(1, 10.0, 10.5)])
    assert stops.during(9.0, 10.1)
    assert stops.during(10.2, 10.3)
    assert stops.during(10.4, 12.0)
    assert not stops.during(9.0, 10.0)
    assert not stops.during(10.5, 12.0)
