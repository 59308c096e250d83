"""TelemetryService: decode, call, encode."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call
from mesh.runtime.clock import now
from palestra.integration.v1 import telemetry_service_pb2 as pb
from services.integration.telemetry.flow import DeviceStream, TelemetryFlow
from services.integration.telemetry.rules import (
    Accepted,
    Ack,
    Answer,
    Batch,
    Close,
    Closed,
    Flow,
    Nothing,
    Open,
    Ping,
    Pong,
    Reject,
    Renew,
    Said,
)


class TelemetryRpc:
    """Serves palestra.integration.v1.TelemetryService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["TelemetryService"]

    def __init__(self, flow: TelemetryFlow) -> None:
        self._flow = flow

    async def StreamTelemetry(
        self, requests: AsyncIterator[pb.StreamTelemetryRequest], call: Call
    ) -> AsyncGenerator[pb.StreamTelemetryResponse, None]:
        stream = self._flow.stream(call.signed_in, call.renew)
        async with aclosing(stream.run(_decoded(requests))) as answers:
            async for answer in answers:
                yield _encode(answer, stream)


async def _decoded(requests: AsyncIterator[pb.StreamTelemetryRequest]) -> AsyncIterator[Said]:
    async for request in requests:
        yield _decode(request)


def _decode(request: pb.StreamTelemetryRequest) -> Said:
    kind = request.WhichOneof("message")
    if kind == "batch":
        batch = request.batch
        return Batch(batch.seq, len(batch.time_deltas_ms) // 4, batch.ByteSize(), batch)
    if kind == "clock_ping":
        ping = request.clock_ping
        return Ping(
            ping.device_time,
            ping.offset_ms if ping.HasField("offset_ms") else None,
            ping.round_trip_ms if ping.HasField("round_trip_ms") else None,
            now(),
        )
    if kind == "open":
        opening = request.open
        return Open(opening.session, opening.epoch, opening.description)
    if kind == "renew":
        return Renew(request.renew.access_token)
    if kind == "close":
        return Close(request.close.last_seq, request.close.summary)
    return Nothing()


def _encode(answer: Answer, stream: DeviceStream) -> pb.StreamTelemetryResponse:
    response = pb.StreamTelemetryResponse()
    match answer:
        case Ack(seq):
            response.ack.seq = seq
        case Pong():
            _encode_pong(response.clock_pong, answer)
        case Accepted():
            _encode_accepted(response.accepted, answer, stream.expire_time_s)
        case Reject():
            response.reject.seq = answer.seq
            response.reject.reason = answer.reason
            response.reject.detail = answer.detail
            response.reject.resume_from_seq = answer.resume_from_seq
        case Flow(window):
            response.flow.window = window
        case Closed(activity):
            response.closed.activity = activity
    return response


def _encode_accepted(accepted: pb.Accepted, answer: Accepted, expire_time_s: int) -> None:
    accepted.resume_from_seq = answer.resume_from_seq
    accepted.window = answer.window
    accepted.max_batch_samples = answer.max_batch_samples
    accepted.activity = answer.activity
    accepted.expire_time.FromSeconds(expire_time_s)


def _encode_pong(pong: pb.ClockPong, answer: Pong) -> None:
    if isinstance(answer.device_time, Timestamp):
        pong.device_time.CopyFrom(answer.device_time)
    _set(pong.receive_time, answer.received_at)
    _set(pong.send_time, now())


def _set(moment: Timestamp, at: datetime) -> None:
    moment.FromDatetime(at.astimezone(UTC))
