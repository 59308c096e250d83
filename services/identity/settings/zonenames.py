"""The names of the IANA time zone database, of the system's copy or of the package `tzdata`."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones


def is_known(name: str) -> bool:
    """Whether a name is a zone's."""
    return name in _known()


@cache
def _known() -> frozenset[str]:
    # Read when it is first needed: it walks a folder of some six hundred files. A place
    # holder and the machine's own clock are no places.
    return frozenset(available_timezones() - {"Factory", "localtime"})
