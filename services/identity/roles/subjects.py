"""What is kept of a person's roles."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.roles import ROLE_GRANTS

_OTHER = "another person"
SUBJECTS = (
    Rows(
        ROLE_GRANTS,
        without={
            "request_hash": "tells a repeat of the request",
            "granted_by": _OTHER,
            "ended_by": _OTHER,
        },
        mentions={"granted_by": None, "ended_by": None},
    ),
)
