"""What is kept of a person's devices."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.integration.devices.rules import Kind
from services.integration.tables import DEVICE_COUNTS, DEVICES, METADATA

TABLES = METADATA
SUBJECTS = (
    Rows(
        DEVICES,
        without={"request_hash": "tells a repeat of a registration from another"},
        shown={"kind": lambda kind: Kind(kind).name},
    ),
    Rows(DEVICE_COUNTS),
)
