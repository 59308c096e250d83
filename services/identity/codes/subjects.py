"""What is kept of codes that were sent to a person."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.codes import CODES

SUBJECTS = (Rows(CODES, without={"code_hash": "it opens doors"}),)
