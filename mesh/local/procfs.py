"""Which process is which, read from /proc.

Decides whether a recorded process is still the same one: a process id alone may
have been given to a stranger since. Never signals anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Identity:
    """One run of one process: no other process, before or after, has the same."""

    pid: int
    start_ticks: int
    """Clock ticks from boot to the process's start (proc_pid_stat(5), field 22)."""
    boot: str
    """The kernel's boot id."""


def boot_id() -> str:
    """The id of the running boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The command in field 2 may hold spaces and brackets; the last `)` ends it.
    return text.rpartition(")")[2].split()


def identify(pid: int) -> Identity | None:
    """The identity of a living process; None where there is none or it is a zombie."""
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return Identity(pid, int(fields[19]), boot_id())


def command(pid: int) -> tuple[str, ...]:
    """The command line; empty where the process is gone."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(raw.decode(errors="replace").rstrip("\0").split("\0")) if raw else ()


def rss_bytes(pid: int) -> int | None:
    """Resident memory; None where the process is gone."""
    fields = _stat(pid)
    return None if fields is None else int(fields[21]) * _PAGE_BYTES


def working_in(folder: Path, program: str) -> list[int]:
    """Processes whose program has that name and whose working folder is `folder`."""
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # A program that was replaced on disk reads as "name (deleted)".
            name = (entry / "exe").readlink().name.removesuffix(" (deleted)")
            same = name == program and (entry / "cwd").readlink() == folder
        except OSError:
            continue  # gone meanwhile, a kernel thread, or another user's
        if same:
            found.append(int(entry.name))
    return found


def listeners(port: int) -> int:
    """How many sockets of this machine listen on the TCP port (IPv4 and IPv6)."""
    count = 0
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (_PROC / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            count += fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
    return count
