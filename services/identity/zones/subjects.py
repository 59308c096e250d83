"""What is kept of the places that a person hides."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.settings import PRIVACY_ZONES

SUBJECTS = (
    Rows(
        PRIVACY_ZONES,
        without={"request_hash": "tells a repeat of a creation from another"},
    ),
)
