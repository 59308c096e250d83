"""What is kept of letters to a person, until they are sent."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.letters import LETTERS

SUBJECTS = (Rows(LETTERS),)
