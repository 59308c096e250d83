"""What is kept of a person's account."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.auth import ACCOUNTS

SUBJECTS = (Rows(ACCOUNTS, without={"password_hash": "it opens doors"}),)
