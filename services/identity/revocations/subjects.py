"""What is kept of how a person stands."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.revocations import STANDINGS

SUBJECTS = (Rows(STANDINGS),)
