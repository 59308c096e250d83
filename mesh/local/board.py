"""What the supervisor tells the outside: `stack.json` for people, `endpoints.json` for the mesh.

Owns both files, and the reading of `stack.json`. Decides nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from mesh.local import procfs
from mesh.local.keeper import Keeper, State
from mesh.local.places import FORMAT, Places, read_json, write_json


def _row(keeper: Keeper) -> dict[str, Any]:
    identity = keeper.identity
    return {
        "name": keeper.spec.name,
        "service": keeper.spec.service or keeper.spec.name,
        "state": keeper.state.value,
        "since": keeper.since,
        "pid": identity.pid if identity else None,
        "start_ticks": identity.start_ticks if identity else None,
        "command": list(keeper.spec.argv),
        "restarts": keeper.restarts,
        "last_end": keeper.last_end,
    }


class Board:
    """Writes the two files when their content changes."""

    def __init__(self, places: Places, facts: Mapping[str, Any], services: Iterable[str]) -> None:
        self._places = places
        self._facts = dict(facts)
        self._services = tuple(services)
        self._endpoints: dict[str, list[str]] | None = None
        self._boot = procfs.boot_id()

    def show(self, state: str, keepers: Iterable[Keeper]) -> None:
        """Writes how everything is now."""
        rows = list(keepers)
        self._show_endpoints(rows)
        content = {
            "format": FORMAT,
            "state": state,
            "boot": self._boot,
            "supervisor": os.getpid(),
            **self._facts,
            "processes": [_row(keeper) for keeper in rows],
        }
        write_json(self._places.stack, content)

    def _show_endpoints(self, keepers: Iterable[Keeper]) -> None:
        endpoints: dict[str, list[str]] = {service: [] for service in self._services}
        for keeper in keepers:
            if keeper.spec.endpoint is not None:
                # A subset of a service's workers is known as long as it has processes.
                serving = endpoints.setdefault(keeper.spec.service, [])
                if keeper.state is State.SERVING:
                    serving.append(str(keeper.spec.endpoint))
        if endpoints != self._endpoints:
            write_json(self._places.endpoints, endpoints)
            self._endpoints = endpoints


def recorded(places: Places) -> list[tuple[procfs.Identity, tuple[str, ...]]]:
    """Identity and command of every process that `stack.json` tells of."""
    content = read_json(places.stack) or {}
    return [
        (
            procfs.Identity(row["pid"], row["start_ticks"], content.get("boot", "")),
            tuple(row["command"]),
        )
        for row in content.get("processes", [])
        if row["pid"] is not None
    ]
