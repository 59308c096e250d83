"""What is kept of what a person agreed to."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.consents.rules import Purpose
from services.identity.tables.consents import CONSENT_RECORDS, CONSENTS


def _purpose(number: int) -> str:
    return Purpose(number).slug


SUBJECTS = (
    Rows(
        CONSENT_RECORDS,
        without={"request_hash": "tells a repeat from another request"},
        shown={"purpose": _purpose, "sha256": bytes.hex},
    ),
    Rows(CONSENTS, shown={"purpose": _purpose}),
)
