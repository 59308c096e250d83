"""Who else was at work while something was measured, from /proc/stat, and how fast a core is.

Figures of a busy machine are worse: caches and cores are shared. Owns the estimate that
stands beside each figure; never corrects one.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

_STAT = Path("/proc/stat")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_REFERENCE_ROUNDS = 4_000


@dataclass(frozen=True, slots=True)
class Look:
    """The machine's own counters at one moment, in s of CPU since its start."""

    busy_s: float
    """Of all processes, whoever's."""
    stolen_s: float
    """That other guests of the same host took."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What went on beside a measurement."""

    others_cores: float
    """CPU of processes that are neither measured nor the load, in cores."""
    stolen_cores: float


NO_NOISE = Noise(0.0, 0.0)


def parse(stat: str) -> Look:
    """The first line of /proc/stat.

    Raises:
        ValueError: it is none.
    """
    name, *fields = stat.partition("\n")[0].split() or [""]
    if name != "cpu" or len(fields) < 8:
        raise ValueError(f"no line of /proc/stat: {stat[:40]!r}")
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(each) for each in fields[:8])
    return Look((user + nice + system + irq + softirq) / _TICKS_PER_S, steal / _TICKS_PER_S)


def look() -> Look:
    """Now."""
    return parse(_STAT.read_text())


def between(before: Look, after: Look, ours_s: float, elapsed_s: float) -> Noise:
    """Of a span in which the measured processes and the load used `ours_s` of CPU."""
    others_s = after.busy_s - before.busy_s - ours_s
    stolen_s = after.stolen_s - before.stolen_s
    return Noise(max(0.0, others_s) / elapsed_s, max(0.0, stolen_s) / elapsed_s)


def reference_us() -> float:
    """CPU µs that a fixed piece of work takes here and now: it grows when cores are shared."""
    begun = time.thread_time()
    digest = b""
    for _ in range(_REFERENCE_ROUNDS):
        digest = blake2b(digest, digest_size=32).digest()
    return (time.thread_time() - begun) * 1_000_000
