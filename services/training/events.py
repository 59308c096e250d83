"""Training's domain events as published messages."""

from __future__ import annotations

from google.protobuf.message import Message as ProtoMessage

from mesh.runtime.outbox import Message
from palestra.training.v1 import activity_pb2, events_pb2


def _message(key: str, event: ProtoMessage) -> Message:
    return Message(event.DESCRIPTOR.full_name, key, event.SerializeToString())


def activity_recorded(
    activity: activity_pb2.Activity, totals: events_pb2.ActivityTotals
) -> Message:
    """A workout was finished."""
    event = events_pb2.ActivityRecorded(
        totals=totals,
        start_time=activity.start_time,
        end_time=activity.end_time,
        audience=activity.audience,
    )
    return _message(activity.name, event)


def activity_corrected(
    before: events_pb2.ActivityTotals,
    after: events_pb2.ActivityTotals,
    audience: activity_pb2.ActivityAudience.ValueType,
) -> Message:
    """A recorded workout counts for something else, or is for others, from now on."""
    event = events_pb2.ActivityCorrected(before=before, after=after, audience=audience)
    return _message(before.activity, event)


def activity_deleted(before: events_pb2.ActivityTotals) -> Message:
    """A recorded workout counts for nothing any more."""
    return _message(before.activity, events_pb2.ActivityDeleted(before=before))
