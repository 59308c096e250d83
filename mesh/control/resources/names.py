"""The names by which resources refer to each other.

Owns the naming alone, so that a name is never spelt twice.
"""

from __future__ import annotations

from pathlib import Path

from mesh import catalog

EDGE_LISTENER = "edge"
EDGE_ROUTES = "edge"
JWT = "edge-tokens"
FORM = "edge-token-form"
LIMITS = "edge-limits"
SHARED_LIMITS = "edge-shared-limits"
TOLD_LIMITS = "edge-told-limits"
TRANSCODER = "edge-transcoder"
CA = "ca"


def workers(service: str) -> str:
    """The cluster of a service's own processes, or of a subset's (`training:canary`)."""
    return f"app-{service.replace(':', '-')}"


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


def direct_port(first: int, service: str) -> int:
    """The port of loopback at which a service's inbound listener stands too; 0 for none."""
    place = [each.name for each in catalog.SERVICES].index(service)
    return first + place if first else 0


def inbound_socket(run: Path, service: str) -> str:
    """Where a service's inbound listener stands."""
    return str(run / f"{service}.in.sock")


def outbound_socket(run: Path, service: str) -> str:
    """Where a service's own processes hand in their calls."""
    return str(run / f"{service}.out.sock")
