"""A real Envoy says whether it would take a slice.

Owns the asking, once per content. Envoy runs apart; what it costs here is the
rendering, which the control plane leaves to a thread.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections import OrderedDict
from collections.abc import Callable

import structlog

from mesh.control import consistency, render, static
from mesh.control.inputs import Inputs
from mesh.control.selection import Judge
from mesh.control.slices import Assembled

MAX_REMEMBERED = 64
_log = structlog.get_logger("mesh.control")


def by_envoy(inputs_with: Callable[[Assembled], Inputs]) -> Judge:
    """Judges by `envoy --mode validate`; `inputs_with` says what there is beside the slice.

    Where no Envoy can be asked the proxies alone judge: what they refuse falls back too.
    """
    remembered: OrderedDict[str, str | None] = OrderedDict()

    def judge(assembled: Assembled) -> str | None:
        content = assembled.descriptor_set + repr(assembled.overrides).encode()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in remembered:
            remembered[digest] = _ask(inputs_with(assembled))
            if len(remembered) > MAX_REMEMBERED:
                remembered.popitem(last=False)
        return remembered[digest]

    return judge


def _ask(inputs: Inputs) -> str | None:
    # Imported here: a start that finds everything as it was asks nothing.
    from gateway.check import envoys_words

    proxies = {render.EDGE: render.edge(inputs), render.NODE: render.node(inputs)}
    for proxy, resources in proxies.items():
        consistency.check(proxy, resources)
    try:
        return envoys_words(static.config(*proxies.values()))
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("no Envoy to ask", error=str(error))
        return None
