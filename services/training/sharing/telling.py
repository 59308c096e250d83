"""That an owner's settings changed: what is remembered of them is not good any more."""

from __future__ import annotations

import uuid

from mesh.runtime.sql import Session
from services.training.sharing import store


async def changed(session: Session, user: str, version: int) -> None:
    """Notes the newest change that was told of, for all processes."""
    await store.tell(session, uuid.UUID(user.removeprefix("users/")), version)
