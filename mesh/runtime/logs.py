"""Logs as JSON lines with trace id and user id, and no personal data.

Fields are named one by one where they are logged; messages of the contract are
never logged whole (see `redact` for the few places that must show one).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from mesh import policy
from mesh.runtime import calls

REDACTED = "…"


def configure(service: str, worker: int, level: str) -> None:
    """Sets up logging for this process; call once."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _call_fields,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dump),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.BytesLoggerFactory(file=sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    _process.update(service=service, worker=worker)


_process: dict[str, Any] = {}


def _dump(event: object, **_: object) -> bytes:
    return orjson.dumps(event, default=str)


def _call_fields(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event.update(_process)
    call = calls.current()
    if call is not None:
        event.setdefault("method", call.method)
        event["caller"] = call.caller
        event["request_id"] = call.request_id
        if call.traceparent:
            event["trace_id"] = call.traceparent.split("-")[1]
        if call.user is not None:
            event["user_id"] = str(call.user.id)
    return event


def redact(message: Message) -> dict[str, Any]:
    """A message as a dict in which personal fields are only said to be there."""
    shown: dict[str, Any] = {}
    for field, value in message.ListFields():
        if policy.personal_class(field):
            shown[field.name] = REDACTED
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            shown[field.name] = f"{len(value)} of them" if field.is_repeated else redact(value)
        else:
            shown[field.name] = str(value)
    return shown
