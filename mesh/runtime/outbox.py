"""Domain events leave with the change they tell of, in the same statement.

A store composes `publishing(change, version)` around its own statement; the
relay (`mesh.runtime.relay`) carries the rows to the bus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, Insert, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import BYTEA, TEXT, UUID

from mesh.runtime import calls
from mesh.runtime.ids import uuid7
from mesh.runtime.tables import OUTBOX

_COLUMNS = ("id", "occurred_at", "type", "key", "key_version", "actor", "cause", "traceparent")


@dataclass(frozen=True, slots=True)
class Message:
    """A domain event, encoded: what `events.py` makes and `store.py` writes."""

    type: str
    """Full name of the message, e.g. `palestra.training.v1.ActivityRecorded`."""
    key: str
    """The aggregate, as a resource name."""
    payload: bytes


def publishing(change: CTE, key_version: ColumnElement[int]) -> Insert:
    """An insert of one event for each row that `change` answers with.

    The statement's values come from `values(message)`.
    """
    row = select(
        bindparam("event_id", type_=UUID),
        # The database's clock: the outbox's partitions are made by it.
        func.now(),
        bindparam("event_type", type_=TEXT),
        bindparam("event_key", type_=TEXT),
        key_version,
        bindparam("event_actor", type_=TEXT),
        bindparam("event_cause", type_=TEXT),
        bindparam("event_traceparent", type_=TEXT),
        bindparam("event_payload", type_=BYTEA),
    ).select_from(change)
    return insert(OUTBOX).from_select([*_COLUMNS, "payload"], row)


def values(message: Message) -> Mapping[str, Any]:
    """The bind values of `publishing` for one event."""
    call = calls.current()
    return {
        "event_id": uuid7(),
        "event_type": message.type,
        "event_key": message.key,
        "event_actor": call.actor if call else "",
        "event_cause": call.request_id if call else "",
        "event_traceparent": call.traceparent if call else "",
        "event_payload": message.payload,
    }
