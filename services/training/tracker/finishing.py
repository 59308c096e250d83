"""From a session's batches to a finished activity. Pure work; of a long one, off the loop."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from mesh.runtime import outbox
from palestra.training.v1 import activity_pb2, telemetry_pb2
from services.training import events
from services.training.activities import encoding
from services.training.activities.rules.audiences import Audience
from services.training.activities.rules.sports import Sport
from services.training.activities.rules.summary import summarise
from services.training.keys import SessionKey
from services.training.samples.encoding import stored_channels
from services.training.samples.rules import archive, chunks, columns
from services.training.tracker.store import FinishedActivity, Recorded, StoredSession


class Ended(NamedTuple):
    """A session that ended, with all that is stored of it."""

    session: SessionKey
    epoch: int
    stored: StoredSession
    recorded: Recorded
    device_summary: bytes
    now: datetime
    audience: Audience
    """For whom it is where its owner has not said it."""


def finish(ended: Ended) -> tuple[FinishedActivity, outbox.Message]:
    """The finished activity with its streams, and the event that tells of it."""
    description = telemetry_pb2.SessionDescription.FromString(ended.stored.description)
    specs = stored_channels(description)
    joined = columns.join(chunks.decode_chunk(ended.recorded.chunks, specs), specs)
    measured = {
        spec.name: columns.measured(spec, column)
        for spec, column in zip(specs, joined.channels, strict=True)
    }
    device = encoding.readable(telemetry_pb2.DeviceSummary.FromString(ended.device_summary))
    activity = activity_pb2.Activity.FromString(ended.recorded.message)
    summary = summarise(joined.time_ms, measured, Sport(activity.sport), encoding.claims_of(device))
    encoding.finish(
        activity,
        summary,
        {spec.name: spec.unit for spec in specs},
        device,
        ended.stored.clock.offset_ms if ended.stored.clock else None,
        len(joined.time_ms),
        int(joined.time_ms[-1]) if len(joined.time_ms) else None,
    )
    encoding.changed(activity, ended.recorded.version + 1, ended.now)
    if not activity.audience:
        activity.audience = ended.audience.value  # type: ignore[assignment]
    totals = encoding.totals_of(activity)
    done = FinishedActivity(
        session=ended.session,
        at=ended.now,
        epoch=ended.epoch,
        last_seq=ended.stored.row.last_seq,
        version=ended.recorded.version,
        state=activity.state,
        audience=activity.audience,
        totals=totals.SerializeToString(),
        message=activity.SerializeToString(),
        json=encoding.json_of(activity),
        times=archive.encode_times(joined.time_ms),
        channels=[archive.encode_column(column) for column in joined.channels],
    )
    return done, events.activity_recorded(activity, totals)
