"""TrackerService: decode, call, encode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from functools import lru_cache

from mesh.runtime import Call, names
from palestra.training.v1 import tracker_service_pb2 as pb
from services.training.activities.encoding import timestamp
from services.training.keys import SessionKey
from services.training.samples.encoding import channels_of
from services.training.samples.rules.batches import RawBatch, RawColumn
from services.training.tracker.flow import TrackerFlow
from services.training.tracker.frames import (
    Acknowledged,
    Clock,
    Closing,
    Content,
    Finished,
    Frame,
    Opened,
    Opening,
    Rejected,
    Result,
)
from services.training.tracker.ingest import Ingest


class TrackerRpc:
    """Serves palestra.training.v1.TrackerService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["TrackerService"]

    def __init__(self, flow: TrackerFlow, stopping: asyncio.Event) -> None:
        self._flow = flow
        self._stopping = stopping

    async def IngestTelemetry(
        self, requests: AsyncIterator[pb.IngestTelemetryRequest], call: Call
    ) -> AsyncIterator[pb.IngestTelemetryResponse]:
        async for results in Ingest(self._flow, self._stopping).run(_decoded(requests)):
            yield _encode(results)


async def _decoded(
    requests: AsyncIterator[pb.IngestTelemetryRequest],
) -> AsyncIterator[Sequence[Frame]]:
    async for request in requests:
        yield [
            Frame(_key(frame.session), frame.epoch, _content(frame), frame.ByteSize())
            for frame in request.frames
        ]


@lru_cache(maxsize=20_000)
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
        return Closing(frame.close.last_seq, frame.close.summary.SerializeToString())
    if kind == "clock":
        return Clock(frame.clock.offset_ms, frame.clock.round_trip_ms)
    return Rejected(0, "BATCH_MALFORMED", "a frame without content", False, 0)


def _opening(frame: pb.SessionFrame) -> Content:
    description = frame.open
    try:
        channels = channels_of(description)
    except ValueError as error:
        return Rejected(0, "BATCH_MALFORMED", str(error), True, 0)
    return Opening(
        sport=description.sport,
        started_at=description.start_time.ToDatetime(UTC),
        utc_offset_s=description.utc_offset_s if description.HasField("utc_offset_s") else None,
        device=description.device,
        channels=channels,
        encoded=description.SerializeToString(),
    )


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
