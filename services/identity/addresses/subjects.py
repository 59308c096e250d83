"""What is kept of a person's addresses."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.auth import ADDRESSES

SUBJECTS = (Rows(ADDRESSES, without={"address_key": "the address, as it is compared"}),)
