"""The operator's wishes for calls, written where the control plane reads them.

Owns the changing of `traffic.json`: one change after the other, each checked before it is
written, and awaited until the proxies have it. What it means is `mesh.control.traffic`'s.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mesh.control import traffic
from mesh.local import launch
from mesh.local.errors import StackError
from mesh.local.places import Places, read_json, write_json

_IN_FORCE_S = 10.0
_LOOK_S = 0.05
Change = Callable[[dict[str, Any]], None]


def read(state: Path) -> dict[str, Any]:
    """The wishes of a stack, faults that are over left out."""
    document = read_json(Places(state).traffic) or {}
    now = time.time()
    routes = {name: each for name, each in document.get("routes", {}).items() if any(each.values())}
    faults = [each for each in document.get("faults", []) if each.get("until_s", 0) > now]
    return {"routes": routes, "faults": faults}


def change(state: Path, make: Change) -> None:
    """Changes the wishes; returns when the proxies have what follows from them.

    Raises:
        StackError: no stack runs, it cannot be meant so, or the mesh does not take it.
    """
    if launch.running(state) is None:
        raise StackError(f"no stack is running in {state}.")
    where = Places(state)
    with _alone(where):
        before = _versions(where)
        old = where.traffic.read_bytes() if where.traffic.exists() else b"{}"
        document = read(state)
        make(document)
        try:
            traffic.parse(json.dumps(document))
        except traffic.TrafficError as error:
            raise StackError(f"{error}.") from None
        if document != json.loads(old):
            write_json(where.traffic, document, durable=True)
            _await(where, before)


@contextmanager
def _alone(where: Places) -> Iterator[None]:
    descriptor = os.open(where.mesh / "traffic.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _versions(where: Places) -> object:
    return (read_json(where.control) or {}).get("versions")


def _await(where: Places, before: object) -> None:
    """A change that changes nothing for the proxies shows in no version: it is not waited for."""
    deadline = time.monotonic() + _IN_FORCE_S
    unchanged_until = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        report = read_json(where.control) or {}
        for each in report.get("rejected", []):
            if each.get("type_url") == where.traffic.name:
                raise StackError(f"the control plane refuses it: {each.get('error')}.")
        same = report.get("versions") == before
        if report.get("ready") and (not same or time.monotonic() > unchanged_until):
            return
        time.sleep(_LOOK_S)
    raise StackError(
        f"the proxies do not have it within {_IN_FORCE_S:.0f} s; see `palestra status`."
    )


def refuse_nobody(state: Path, service: str, target: str) -> None:
    """Raises StackError where nobody could answer at a target now."""
    path = target.removeprefix("unix:")
    if path != target:
        if not Path(path).is_socket():
            raise StackError(f"nobody listens at {path}.")
        return
    known = read_json(Places(state).endpoints) or {}
    if not known.get(f"{service}:{target}"):
        there = [name for name in known if name.startswith(f"{service}:")]
        raise StackError(
            f"{service} has no subset {target!r} with a worker; there are "
            f"{', '.join(there) or 'none'}. Start one: palestra scale {service}:{target}=1."
        )
