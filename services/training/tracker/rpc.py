"""TrackerService: decode, call, encode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC
from functools import lru_cache

from mesh.runtime import Call, names, validation
from mesh.runtime.errors import MeshError
from palestra.training.v1 import tracker_service_pb2 as pb
from services.training.activities.encoding import timestamp
from services.training.keys import SessionKey
from services.training.samples.encoding import channels_of
from services.training.samples.rules.batches import RawBatch, RawColumn
from services.training.samples.rules.errors import SessionRefusal
from services.training.tracker.flow import TrackerFlow
from services.training.tracker.frames import (
    Acknowledged,
    Clock,
    Closing,
    Content,
    Finished,
    Frame,
    Nameless,
    Opened,
    Opening,
    Rejected,
    Result,
)
from services.training.tracker.ingest import Ingest
from services.training.tracker.rules import sessions


class TrackerRpc:
    """Serves palestra.training.v1.TrackerService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["TrackerService"]

    def __init__(self, flow: TrackerFlow, stopping: asyncio.Event) -> None:
        self._flow = flow
        self._stopping = stopping

    async def IngestTelemetry(
        self, requests: AsyncIterator[pb.IngestTelemetryRequest], call: Call
    ) -> AsyncIterator[pb.IngestTelemetryResponse]:
        ingest = Ingest(self._flow, self._stopping)
        async with aclosing(ingest.run(_decoded(requests))) as answers:
            async for results in answers:
                yield _encode(results)


async def _decoded(
    requests: AsyncIterator[pb.IngestTelemetryRequest],
) -> AsyncIterator[Sequence[Frame | Result]]:
    async for request in requests:
        yield [_frame(frame) for frame in request.frames]


def _frame(frame: pb.SessionFrame) -> Frame | Result:
    """What a frame says, or why it could not be read: that is its session's trouble only."""
    try:
        session = _key(frame.session)
    except MeshError as error:
        refused = Rejected(0, "SESSION_UNKNOWN", str(error), True, 0)
        return Result(Nameless(frame.session), frame.epoch, refused)
    return Frame(session, frame.epoch, _content(frame), frame.ByteSize())


@lru_cache(maxsize=65_536)
def _key(name: str) -> SessionKey:
    return SessionKey(*names.parse(name, "users", "sessions", field="session"))


def _content(frame: pb.SessionFrame) -> Content:
    kind = frame.WhichOneof("frame")
    if kind == "batch":
        batch = frame.batch
        return RawBatch(
            batch.seq,
            batch.first_time_ms,
            batch.time_deltas_ms,
            [RawColumn(column.channel, column.values, column.validity) for column in batch.columns],
        )
    if kind == "open":
        return _opening(frame)
    if kind == "close":
        return _closing(frame.close)
    if kind == "clock":
        return Clock(frame.clock.offset_ms, frame.clock.round_trip_ms)
    return Rejected(0, "BATCH_MALFORMED", "a frame without content", False, 0)


def _opening(frame: pb.SessionFrame) -> Content:
    description = frame.open
    try:
        validation.check(description)
        sessions.check_start(description.start_time.ToMilliseconds())
        channels = channels_of(description)
    except (MeshError, SessionRefusal, ValueError) as error:
        return Rejected(0, "BATCH_MALFORMED", str(error), True, 0)
    return Opening(
        sport=description.sport,
        started_at=description.start_time.ToDatetime(UTC),
        utc_offset_s=description.utc_offset_s if description.HasField("utc_offset_s") else None,
        device=description.device,
        channels=channels,
        encoded=description.SerializeToString(),
    )


def _closing(close: pb.SessionClose) -> Content:
    try:
        validation.check(close.summary)
    except MeshError as error:
        return Rejected(0, "BATCH_MALFORMED", str(error), False, 0)
    return Closing(close.last_seq, close.summary.SerializeToString())


def _encode(results: Sequence[Result]) -> pb.IngestTelemetryResponse:
    response = pb.IngestTelemetryResponse()
    for session, epoch, outcome in results:
        encoded = response.results.add(session=session.name, epoch=epoch)
        match outcome:
            case Acknowledged(seq):
                encoded.acknowledged_seq = seq
            case Opened(resume_from_seq):
                encoded.opened.resume_from_seq = resume_from_seq
                encoded.opened.activity = session.activity
            case Finished(at):
                encoded.finished.activity = session.activity
                encoded.finished.finish_time.CopyFrom(timestamp(at))
            case Rejected(seq, reason, detail, final, resume_from_seq):
                encoded.reject.seq = seq
                encoded.reject.reason = reason
                encoded.reject.detail = detail
                encoded.reject.final = final
                encoded.reject.resume_from_seq = resume_from_seq
    return response
