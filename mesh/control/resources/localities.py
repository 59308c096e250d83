"""Whom a proxy prefers by where it stands: its own zone, then its region, then the rest.

Owns the order. Envoy sends calls to the next only as far as the ones before are not
healthy (a priority takes its full share while 72 % of it are).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh.control.resources.endpoints import Host


def ranked(choices: Sequence[Sequence[Host]], own: Host | None) -> list[list[Host]]:
    """The hosts by priority, with no empty one between: within each choice the near first.

    Envoy takes no assignment with a gap in its priorities.
    """
    levels = []
    for hosts in choices:
        for distance in (0, 1, 2):
            found = [each for each in hosts if _distance(each, own) == distance]
            if found:
                levels.append(found)
    return levels


def _distance(host: Host, own: Host | None) -> int:
    if own is None or not host.region:
        # Nobody said where it stands: as near as any.
        return 0
    if host.region != own.region:
        return 2
    return 0 if not host.zone or host.zone == own.zone else 1
