"""What is kept of what a person let apps do."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.oauth import BROWSERS, CODES, GRANTS

_SECRET = "it opens doors"  # noqa: S105 - a reason, not a secret
SUBJECTS = (
    Rows(GRANTS),
    Rows(CODES, without={"secret_hash": _SECRET, "challenge": "the app's own secret, hashed"}),
    Rows(BROWSERS, without={"secret_hash": _SECRET}),
)
