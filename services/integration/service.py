"""Integration, composed: what it serves and runs, and its settings."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.runtime import Host, Job, Parts, Service
from mesh.runtime.clock import now
from services.integration.devices.flow import DeviceFlow
from services.integration.devices.rpc import DeviceRpc
from services.integration.devices.store import DeviceStore
from services.integration.devices.subjects import SUBJECTS, TABLES
from services.integration.telemetry.flow import TelemetryFlow
from services.integration.telemetry.rpc import TelemetryRpc
from services.integration.telemetry.rules import Limits
from services.integration.telemetry.shards import Shards, ShardSettings, to_training


@dataclass(frozen=True, slots=True)
class IntegrationSettings:
    """What integration is told beside the common settings."""

    shards: int = 4
    """Long streams to training."""
    stream_age_s: float = 60.0
    """After which one is opened anew, give or take a fifth."""
    window: int = 64
    """Batches that a device may send ahead of their acknowledgement."""
    idle_s: float = 90.0
    """After which a device that says nothing is given up."""
    held_mib: int = 256
    """Of batches that are not durable yet, all devices together."""


def compose(host: Host) -> Parts:
    """Joins integration's capabilities."""
    own: IntegrationSettings = host.own
    devices = DeviceFlow(DeviceStore(host.database), now)
    shards = Shards(
        to_training(host.mesh),
        ShardSettings(own.shards, own.stream_age_s, own.held_mib << 20),
    )
    telemetry = TelemetryFlow(
        shards, host.verifier, host.stopping, Limits(window=own.window), own.idle_s
    )
    return Parts(
        servicers=[DeviceRpc(devices), TelemetryRpc(telemetry)],
        jobs=[Job("forget deleted devices", 3600, devices.forget)],
        loops=[shards.run, telemetry.end_all_when_stopping],
    )


SERVICE = Service("integration", compose, IntegrationSettings, subjects=SUBJECTS, tables=TABLES)
