"""A core's standing still is told by who was stopped, and only by who comes first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from mesh.local.places import ROOT
from tests.support.standstill import NOTICED_S, Stop, Stops, watched

STOPPED_S = 3 * NOTICED_S


def test_who_is_stopped_tells_when() -> None:
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "tests.support.standstill", str(core)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as looker:
        time.sleep(2.0)
        begun = time.monotonic()
        os.kill(looker.pid, signal.SIGSTOP)
        time.sleep(STOPPED_S)
        os.kill(looker.pid, signal.SIGCONT)
        ended = time.monotonic()
        time.sleep(NOTICED_S)
        first, *told = looker.communicate(timeout=10)[0].splitlines()
    if first != "first":
        assert told == []
        return
    spans = [tuple(float(each) for each in line.split()) for line in told]
    assert any(
        of == core and since <= begun + NOTICED_S and until >= ended - NOTICED_S
        for of, since, until in spans
    ), spans


def test_every_core_is_looked_at_and_nobody_stays() -> None:
    with watched() as stops:
        time.sleep(0.5)
    assert {stop.core for stop in stops.told} <= os.sched_getaffinity(0)
    assert all(stop.ended_s - stop.begun_s > NOTICED_S for stop in stops.told)


def test_a_span_meets_a_stop_or_not() -> None:
    stops = Stops([Stop(1, 10.0, 10.5)])
    assert stops.during(9.0, 10.1)
    assert stops.during(10.2, 10.3)
    assert stops.during(10.4, 12.0)
    assert not stops.during(9.0, 10.0)
    assert not stops.during(10.5, 12.0)
