"""A core's standing still is told by who was stopped, and only by who comes first."""

from __future__ import annotations

import os
import signal
import time

import psutil

from tests.support.local_stack import until
from tests.support.standstill import NOTICED_S, Late, Stop, Stops, watched

STOPPED_S = 3 * NOTICED_S


def test_who_is_stopped_tells_when_at_once() -> None:
    with watched() as stops:
        looker = _looker_at(core := min(os.sched_getaffinity(0)))
        begun = time.monotonic()
        os.kill(looker, signal.SIGSTOP)
        # What it is to tell, and not a wait for anything.
        time.sleep(STOPPED_S)
        os.kill(looker, signal.SIGCONT)
        ended = time.monotonic()

        def seen() -> bool:
            return any(
                stop.core == core
                and stop.begun_s <= begun + NOTICED_S
                and stop.ended_s >= ended - NOTICED_S
                for stop in stops.told
            )

        until(lambda: seen() or not stops.proven, 5, "who was stopped says so")
    assert seen() or (stops.told == [] and not stops.proven), stops.told
    assert not psutil.pid_exists(looker)


def _looker_at(core: int) -> int:
    """The process that this one started to look at a core."""
    mine = psutil.Process().children()
    ends = ["tests.support.standstill", str(core)]
    # The latest, for the run itself may have one as well.
    return int(max((each for each in mine if each.cmdline()[-2:] == ends), key=_begun).pid)


def _begun(process: psutil.Process) -> float:
    return float(process.create_time())


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


def test_what_a_span_shares_with_stops_is_summed_over_the_cores() -> None:
    stops = Stops([Stop(0, 10.0, 10.5), Stop(1, 10.25, 11.0), Stop(0, 20.0, 21.0)])
    assert stops.stood_s(10.25, 12.0) == 0.25 + 0.75
    assert stops.stood_s(11.0, 20.0) == 0.0


def test_only_what_was_late_while_a_core_stood_still_is_excused() -> None:
    late = [
        Late(kind, begun_s, begun_s + 1.0)
        for kind, begun_s in (("before", 5.0), ("in it", 9.5), ("after", 12.0), ("long after", 13))
    ]
    stops = Stops([Stop(0, 10.0, 10.4)])
    assert stops.excused(late) == {"in it": 1, "after": 1}
    stops.proven = False
    assert not stops.excused(late)
