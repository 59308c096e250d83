"""What is kept of a person's key: that he has one."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.privacy import PERSON_KEYS

SUBJECTS = (Rows(PERSON_KEYS, without={"sealed": "it opens what is archived of him"}),)
