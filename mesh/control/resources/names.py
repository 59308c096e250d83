"""The names by which resources refer to each other.

Owns the naming alone, so that a name is never spelt twice.
"""

from __future__ import annotations

from pathlib import Path

EDGE_LISTENER = "edge"
EDGE_ROUTES = "edge"
JWT = "edge-tokens"
LIMITS = "edge-limits"
TRANSCODER = "edge-transcoder"
CA = "ca"


def workers(service: str) -> str:
    """The cluster of a service's own processes."""
    return f"app-{service}"


def towards(caller: str, service: str) -> str:
    """The cluster by which `caller` reaches a service's inbound listener."""
    return f"{caller}-to-{service}"


def inbound(service: str) -> str:
    """The listener and the routes by which a service is reached."""
    return f"{service}-in"


def outbound(service: str) -> str:
    """The listener and the routes by which a service reaches others."""
    return f"{service}-out"


def callers(service: str) -> str:
    """The filter that says who may call a service's methods."""
    return f"{service}-callers"


def inbound_socket(run: Path, service: str) -> str:
    """Where a service's inbound listener stands."""
    return str(run / f"{service}.in.sock")


def outbound_socket(run: Path, service: str) -> str:
    """Where a service's own processes hand in their calls."""
    return str(run / f"{service}.out.sock")
