"""What a proxy is to be told, packed at once from all of its resources."""

from __future__ import annotations

from mesh.control import snapshot
from mesh.control.snapshot import TYPES, Resources, Snapshot


def take(proxy: str, resources: Resources) -> Snapshot:
    """A snapshot of resources, whatever was drawn before."""
    return snapshot.of(proxy, {kind: snapshot.typed(getattr(resources, kind)) for kind in TYPES})
