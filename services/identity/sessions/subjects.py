"""What is kept of a person's sessions."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.sessions import SESSIONS

_SECRET = "it opens doors"  # noqa: S105 - a reason, not a secret
SUBJECTS = (
    Rows(
        SESSIONS,
        without={"chain_key": _SECRET, "token_hash": _SECRET, "previous_hash": _SECRET},
    ),
)
