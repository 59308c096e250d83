"""What `palestra logs` prints: the ends of some logs, and what is added to them.

Decides which logs a name means. Survives that a log is cut under it (`logfiles`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from mesh.local import logfiles
from mesh.local.errors import StackError
from mesh.local.places import Places

_LOOK_S = 0.2
_READ_BYTES = 1 << 20


def chosen(places: Places, name: str) -> list[Path]:
    """The logs of a service's workers, or of one process.

    Raises:
        StackError: there is none.
    """
    logs = sorted(places.logs.glob("*.log"))
    wanted = name.replace(":", "-")
    found = [log for log in logs if wanted in (log.stem, log.stem.rpartition("-")[0])]
    if not found:
        known = ", ".join(log.stem for log in logs) or "no logs at all"
        raise StackError(f"there is no log of {name!r} in {places.logs}; there are {known}.")
    return found


def lines(logs: list[Path], last: int, *, follow: bool) -> Iterator[str]:
    """The last lines of each log; then, if following, new lines for ever."""
    offsets = {log: log.stat().st_size for log in logs}
    for log in logs:
        for line in logfiles.tail(log, last):
            yield _named(log, line, several=len(logs) > 1)
    while follow:
        time.sleep(_LOOK_S)
        for log in logs:
            for line in _added(log, offsets):
                yield _named(log, line, several=len(logs) > 1)


def _named(log: Path, line: str, *, several: bool) -> str:
    return f"{log.stem} | {line}" if several else line


def _added(log: Path, offsets: dict[Path, int]) -> list[str]:
    """The whole lines after the offset, which moves behind them."""
    with log.open("rb") as file:
        if file.seek(0, 2) < offsets[log]:
            offsets[log] = 0  # it was cut
        file.seek(offsets[log])
        read = file.read(_READ_BYTES)
    whole = read if len(read) == _READ_BYTES else read[: read.rfind(b"\n") + 1]
    offsets[log] += len(whole)
    return whole.decode(errors="replace").splitlines()
