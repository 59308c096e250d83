"""When the machine itself stood still: a core that its host gave to somebody else.

A process on each core that sleeps a little and comes before all others (`SCHED_FIFO`) wakes
late only where the core did not run at all. Owns that proof and nothing more: what a busy
machine is late with is not told here. Who may not come before all others proves nothing.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, Final, NamedTuple

from mesh.local.places import ROOT

NOTICED_S: Final = 0.1
_NAP_S: Final = 0.005
_PRIORITY: Final = 50
_FIRST: Final = "first"


class Stop(NamedTuple):
    """A core's standing still, by `time.monotonic`."""

    core: int
    begun_s: float
    ended_s: float


@dataclass(slots=True)
class Stops:
    """Those of the time in which somebody looked."""

    told: list[Stop] = field(default_factory=list)
    proven: bool = True
    """Whether every core was looked at by a process that comes first."""

    def during(self, begun_s: float, ended_s: float) -> bool:
        """Whether a core stood still at any moment of a span."""
        return any(stop.begun_s < ended_s and begun_s < stop.ended_s for stop in self.told)


@contextmanager
def watched() -> Iterator[Stops]:
    """Filled when the block ends."""
    stops, lookers = Stops(), []
    with ExitStack() as ending:
        for core in sorted(os.sched_getaffinity(0)):
            command = [sys.executable, "-m", __name__, str(core)]
            looker = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            ending.enter_context(looker)
            lookers.append(looker)
            stops.proven = _said(looker).readline() == f"{_FIRST}\n" and stops.proven
        yield stops
        for looker in lookers:
            stops.told += told(looker)


def told(looker: subprocess.Popen[str]) -> list[Stop]:
    """Ends a process that looks, once it has said how; what it has seen."""
    assert looker.stdin is not None
    looker.stdin.close()
    lines = [line.split() for line in _said(looker)]
    return [Stop(int(core), float(begun), float(ended)) for core, begun, ended in lines]


def _said(looker: subprocess.Popen[str]) -> IO[str]:
    assert looker.stdout is not None
    return looker.stdout


def _look(core: int) -> None:
    """Says first whether it comes before all others; when the input ends, what it has seen."""
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except PermissionError:
        print("among the others", flush=True)
        sys.stdin.read()
        return
    print(_FIRST, flush=True)
    stops: list[Stop] = []
    before, ending = time.monotonic(), False
    while not ending:
        ending = bool(select.select([0], [], [], _NAP_S)[0])
        now = time.monotonic()
        if now - before > NOTICED_S:
            stops.append(Stop(core, before, now))
        before = now
    for each in stops:
        print(each.core, each.begun_s, each.ended_s)


if __name__ == "__main__":
    _look(int(sys.argv[1]))
