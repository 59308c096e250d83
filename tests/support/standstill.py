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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mesh.local.places import ROOT

NOTICED_S: Final = 0.1
_NAP_S: Final = 0.005
_PRIORITY: Final = 50


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
        yield stops
        for looker in lookers:
            lines = looker.communicate(timeout=10)[0].splitlines()
            stops.proven = stops.proven and lines[:1] == ["first"]
            stops.told += _read(lines[1:])


def _read(lines: Sequence[str]) -> list[Stop]:
    told = [line.split() for line in lines]
    return [Stop(int(core), float(begun), float(ended)) for core, begun, ended in told]


def _look(core: int) -> None:
    """Until the input ends; then tells all."""
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except PermissionError:
        print("among the others")
        sys.stdin.read()
        return
    stops: list[Stop] = []
    before = time.monotonic()
    while not select.select([0], [], [], _NAP_S)[0]:
        now = time.monotonic()
        if now - before > NOTICED_S:
            stops.append(Stop(core, before, now))
        before = now
    print("first", *(f"{each.core} {each.begun_s} {each.ended_s}" for each in stops), sep="\n")


if __name__ == "__main__":
    _look(int(sys.argv[1]))
