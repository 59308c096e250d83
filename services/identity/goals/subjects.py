"""What is kept of a person's goals."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.goals.rules import Kind, State
from services.identity.tables.goals import GOALS

SUBJECTS = (
    Rows(
        GOALS,
        without={"request_hash": "tells a repeat of a creation from another"},
        shown={"kind": lambda kind: Kind(kind).name, "state": lambda state: State(state).name},
    ),
)
