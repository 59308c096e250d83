"""The CPU time of groups of processes, read from /proc.

Owns what counts as a group's: its processes, their threads, their children living and
dead. Never counts a process that is under another group, or outside them all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


class ProcessGone(Exception):
    """A process of a group ended: what it used since cannot be told any more."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What proc_pid_stat(5) tells of a process and all of its threads."""

    pid: int
    parent: int
    own_ticks: int
    """utime + stime."""
    reaped_ticks: int
    """cutime + cstime: of children that ended and were waited for."""
    start_ticks: int
    """When it started, from boot: with the pid, the name of one run."""


def parse_stat(text: str) -> Stat:
    """One line of /proc/PID/stat.

    Raises:
        ValueError: it is none.
    """
    # The command in field 2 may hold spaces and brackets; the last `)` ends it.
    head, bracket, tail = text.rpartition(")")
    fields = tail.split()
    if not bracket or len(fields) < 20:
        raise ValueError(f"no line of /proc/PID/stat: {text!r}")
    utime, stime, cutime, cstime = (int(each) for each in fields[11:15])
    return Stat(
        pid=int(head.partition("(")[0]),
        parent=int(fields[1]),
        own_ticks=utime + stime,
        reaped_ticks=cutime + cstime,
        start_ticks=int(fields[19]),
    )


def read_all() -> list[Stat]:
    """Every process of the machine."""
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text(errors="replace")
            except OSError:
                continue  # gone meanwhile
            found.append(parse_stat(text))
    return found


@dataclass(frozen=True, slots=True)
class Usage:
    """The CPU time that each group has used so far."""

    us: Mapping[str, float]
    runs: frozenset[tuple[int, int]]
    """The groups' first processes, by pid and start."""

    def since(self, before: Usage) -> dict[str, float]:
        """CPU µs by group between two looks.

        Raises:
            ProcessGone: a process was replaced between them.
        """
        if self.runs != before.runs:
            raise ProcessGone("a process was restarted while it was measured")
        return {group: us - before.us[group] for group, us in self.us.items()}


def usage(stats: Sequence[Stat], groups: Mapping[str, Sequence[int]]) -> Usage:
    """What the groups have used; a group is the pids that it begins with, and their children.

    Raises:
        ProcessGone: one of those is not among `stats`.
    """
    by_pid = {stat.pid: stat for stat in stats}
    children: dict[int, list[int]] = {}
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat.pid)
    heads = {pid for pids in groups.values() for pid in pids}
    if missing := heads - by_pid.keys():
        raise ProcessGone(f"process {min(missing)} has ended")
    used = {}
    for group, pids in groups.items():
        todo, ticks = list(pids), 0
        while todo:
            stat = by_pid[todo.pop()]
            ticks += stat.own_ticks + stat.reaped_ticks
            # A child that heads a group is that group's.
            todo += [pid for pid in children.get(stat.pid, ()) if pid not in heads]
        used[group] = ticks * _TICK_US
    return Usage(used, frozenset((pid, by_pid[pid].start_ticks) for pid in heads))
