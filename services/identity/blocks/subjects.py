"""What is kept of a person's blocks."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.roles import BLOCKS

_OTHER = "another person"
SUBJECTS = (
    Rows(
        BLOCKS,
        without={"blocked_by": _OTHER, "lifted_by": _OTHER},
        mentions={"blocked_by": None, "lifted_by": None},
    ),
)
