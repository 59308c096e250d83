"""What every process stands on. A service imports from here, and declares.

A name is looked up when it is asked for: a process without stores need not import their
drivers to know what a call is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh.runtime.calls import Call, User
    from mesh.runtime.handler import Handler
    from mesh.runtime.server import Servicer
    from mesh.runtime.service import Host, Job, Parts, Service, run

__all__ = ["Call", "Handler", "Host", "Job", "Parts", "Service", "Servicer", "User", "run"]

_HOMES = {
    "Call": "calls",
    "User": "calls",
    "Handler": "handler",
    "Servicer": "server",
    **dict.fromkeys(("Host", "Job", "Parts", "Service", "run"), "service"),
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
