"""What is kept of what others see of a person's activities."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.training.tables import SHOWN_ACTIVITIES, TOLD_SETTINGS

SUBJECTS = (
    Rows(
        SHOWN_ACTIVITIES,
        without={
            "circles": "tells one set of circles from another",
            "message": "less than the activity itself, which is given out",
            "json": "the same, as another text",
        },
    ),
    Rows(TOLD_SETTINGS),
)
