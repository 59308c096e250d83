"""What is kept of a person's exports: that he asked for them."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.exports.rules import State
from services.identity.tables.privacy import EXPORT_PARTS, EXPORT_STEPS, EXPORTS

_BOOKKEEPING = "how the work on it was shared"
SUBJECTS = (
    Rows(EXPORT_PARTS),
    Rows(
        EXPORT_STEPS,
        without={"fence": _BOOKKEEPING, "cursor": _BOOKKEEPING, "parts": _BOOKKEEPING},
    ),
    Rows(EXPORTS, shown={"state": lambda state: State(state).name}),
)
