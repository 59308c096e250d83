"""Domain events leave with the change they tell of, in the same statement.

A store composes `publishing(change, version)` around its own statement; the
relay (`mesh.runtime.relay`) carries the rows to the bus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, Insert, bindparam, column, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TEXT, UUID

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


def publishing_all(change: CTE) -> Insert:
    """An insert of one event for each row that `change` answers with, as (key, key_version).

    The statement's values come from `values_of_all(messages)`, a message for each key.
    """
    told = (
        func.unnest(
            bindparam("event_ids", type_=ARRAY(UUID)),
            bindparam("event_types", type_=ARRAY(TEXT)),
            bindparam("event_keys", type_=ARRAY(TEXT)),
            bindparam("event_payloads", type_=ARRAY(BYTEA)),
        )
        .table_valued(
            column("id", UUID), column("type", TEXT), column("key", TEXT), column("payload", BYTEA)
        )
        .render_derived(name="told")
    )
    rows = select(
        told.c.id,
        func.now(),
        told.c.type,
        told.c.key,
        change.c.key_version,
        bindparam("event_actor", type_=TEXT),
        bindparam("event_cause", type_=TEXT),
        bindparam("event_traceparent", type_=TEXT),
        told.c.payload,
    ).select_from(change.join(told, told.c.key == change.c.key))
    return insert(OUTBOX).from_select([*_COLUMNS, "payload"], rows)


def values_of_all(messages: Sequence[Message]) -> Mapping[str, Any]:
    """The bind values of `publishing_all`; no two messages are of one key."""
    call = calls.current()
    return {
        "event_ids": [uuid7() for _ in messages],
        "event_types": [message.type for message in messages],
        "event_keys": [message.key for message in messages],
        "event_payloads": [message.payload for message in messages],
        "event_actor": call.actor if call else "",
        "event_cause": call.request_id if call else "",
        "event_traceparent": call.traceparent if call else "",
    }
