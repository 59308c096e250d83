"""The messages of a change of relations."""

from __future__ import annotations

from mesh.runtime.outbox import Message
from services.identity import events
from services.identity.relations.store import Change


def change(change: Change) -> list[Message]:
    """For each of both people one."""
    return events.relations_changed(
        change.me.user_id, change.other.user_id, change.pair, change.pair_version
    )
