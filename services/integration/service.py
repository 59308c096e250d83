"""Integration, composed: what it serves and runs, and its settings."""

from __future__ import annotations

from mesh.runtime import Host, Job, Parts, Service
from mesh.runtime.clock import now
from services.integration.devices.flow import DeviceFlow
from services.integration.devices.rpc import DeviceRpc
from services.integration.devices.store import DeviceStore


def compose(host: Host) -> Parts:
    """Joins integration's capabilities."""
    devices = DeviceFlow(DeviceStore(host.database), now)
    return Parts(
        servicers=[DeviceRpc(devices)],
        jobs=[Job("forget deleted devices", 3600, devices.forget)],
    )


SERVICE = Service("integration", compose)
