"""What `palestra keys` does: runs identity's own command, with identity's own settings.

Decides which process that is, and when the edge has heard. Knows nothing of keys: identity
is asked, in a process beside its workers, so that it works with all of them down.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mesh import catalog
from mesh.local import credentials, launch, plan, workers
from mesh.local.errors import StackError
from mesh.local.places import ROOT, Places, read_json

_IDENTITY = "identity"
_DONE_S = 30.0
EDGE_S = 10.0
"""How long the edge is waited for; usually it takes two seconds."""
_LOOK_S = 0.1


def run(
    places: Places, arguments: Sequence[str], settings: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Runs the command beside identity's workers; the keys as they are then, see its README.

    `settings` are identity's own, PALESTRA_IDENTITY_…, by their names.

    Raises:
        StackError: no stack is running, or the command refuses; says why.
    """
    if launch.running(places.state) is None:
        raise StackError(f"no stack is running in {places.state}.")
    passwords = credentials.ensure(places, [each.name for each in catalog.SERVICES])
    options = plan.Options(places.state, identity=settings)
    spec = workers.worker(options, places, plan.base_environment(), passwords, _IDENTITY, 0)
    command = [sys.executable, "-m", f"services.{_IDENTITY}.keys", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=spec.env,
            capture_output=True,
            text=True,
            timeout=_DONE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"identity's keys: no answer within {_DONE_S:g} s.") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it ended without a word"]
        raise StackError(f"{said[-1]}.")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def known_to_the_edge(places: Places) -> frozenset[str]:
    """The ids of the keys by which the edge takes tokens; none where it is not ready."""
    told = read_json(places.control) or {}
    return frozenset(told.get("key_ids", ())) if told.get("ready") else frozenset()


def edge_has(places: Places, keys: Sequence[dict[str, Any]]) -> bool:
    """Waits until the edge takes tokens by these keys and no others; whether it does."""
    wanted = {key["keyId"] for key in keys if key["state"] != "WITHDRAWN"}
    end = time.monotonic() + EDGE_S
    # Of the retired ones it forgets some by itself, whose tokens are over.
    needed = {key["keyId"] for key in keys if key["state"] in ("SIGNING", "NEXT")}
    while time.monotonic() < end:
        if needed <= known_to_the_edge(places) <= wanted:
            return True
        time.sleep(_LOOK_S)
    return False


def line(key: dict[str, Any]) -> str:
    """A key for people."""
    told = [key["keyId"], f"{key['state'].lower():9}", f"published {key['publishTime']}"]
    if key["state"] == "WITHDRAWN":
        told.append(f"withdrawn {key['withdrawTime']} by {key['withdrawnBy']}: {key['why']}")
    else:
        told.append(f"signs from {key['signTime']}")
    if not key["alwaysSealed"]:
        told.append("(once lay unsealed)")
    return "  ".join(told)
