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
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, Final, NamedTuple

from mesh.local.places import ROOT

NOTICED_S: Final = 0.1
AFTERMATH_S: Final = 2.0
"""What came together while a core stood still is worked off in this time."""
MOST_EXCUSED: Final = 0.03
"""Of all requests. A machine that stands still more often shows nothing."""
_NAP_S: Final = 0.02
_PRIORITY: Final = 50
_FIRST: Final = "first"


class Stop(NamedTuple):
    """A core's standing still, by `time.monotonic`."""

    core: int
    begun_s: float
    ended_s: float


class Late(NamedTuple):
    """A request whose deadline passed (504), by `time.monotonic`."""

    kind: str
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

    def stood_s(self, begun_s: float, ended_s: float) -> float:
        """For how long, all cores together, in a span."""
        spans = (min(ended_s, stop.ended_s) - max(begun_s, stop.begun_s) for stop in self.told)
        return sum(each for each in spans if each > 0)

    def excused(self, late: Iterable[Late]) -> Counter[str]:
        """Which requests were late while the machine stood still, by kind; none unless proven."""
        return Counter(
            each.kind
            for each in late
            if self.proven and self.during(each.begun_s - AFTERMATH_S, each.ended_s)
        )


@contextmanager
def watched() -> Iterator[Stops]:
    """Filled as it happens; whole when the block has ended."""
    stops = Stops()
    with ExitStack() as ending:
        for core in sorted(os.sched_getaffinity(0)):
            command = [sys.executable, "-m", __name__, str(core)]
            looker = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            ending.enter_context(looker)
            stops.proven = _said(looker).readline() == f"{_FIRST}\n" and stops.proven
            listening = threading.Thread(target=_listen, args=(looker, stops.told))
            listening.start()
            ending.callback(listening.join)
            assert looker.stdin is not None
            ending.callback(looker.stdin.close)
        yield stops


def _listen(looker: subprocess.Popen[str], told: list[Stop]) -> None:
    for line in _said(looker):
        core, begun, ended = line.split()
        told.append(Stop(int(core), float(begun), float(ended)))


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
    before, ending = time.monotonic(), False
    while not ending:
        ending = bool(select.select([0], [], [], _NAP_S)[0])
        now = time.monotonic()
        if now - before > NOTICED_S:
            print(core, before, now, flush=True)
        before = now


if __name__ == "__main__":
    _look(int(sys.argv[1]))
