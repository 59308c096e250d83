"""A server of the telemetry line for tests of the device's side.

Speaks the real contract over a real socket and is strict: it fences old epochs,
knows a repeated batch by its bytes, refuses a gap, and notes whatever a device
must not do. On request it is hostile: it cuts, delays, repeats and withholds
answers at seeded random instants. What it stored outlives its connections.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import protovalidate
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra.integration.v1 import telemetry_service_pb2_grpc
from palestra.training.v1.telemetry_pb2 import Batch, DeviceSummary, SessionDescription

USER = "users/11111111-2222-8333-8444-555555555555"


@dataclass
class StoredSession:
    """What the server has of one session."""

    description: SessionDescription
    epoch: int = 0
    batches: list[bytes] = field(default_factory=list)
    """Batch n is at n - 1, as it came."""
    summary: DeviceSummary | None = None
    closed: bool = False
    opened: int = 0
    offsets_ms: list[int] = field(default_factory=list)

    def parsed(self) -> list[Batch]:
        """The batches in order."""
        return [Batch.FromString(each) for each in self.batches]


@dataclass
class Store:
    """What outlives a connection, and what devices did wrong."""

    sessions: dict[str, StoredSession] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    cuts: int = 0
    renewals: int = 0

    def only(self) -> StoredSession:
        """The one session that there is."""
        assert len(self.sessions) == 1, sorted(self.sessions)
        return next(iter(self.sessions.values()))


@dataclass
class Mood:
    """How the server behaves; kind by default."""

    seed: int = 0
    window: int = 8
    max_batch_samples: int = 600
    ack_delay_s: float = 0.0
    cut: float = 0.0
    """The chance, at each message, of a cut before or after it is stored."""
    cuts_at_most: int = 50
    forget_ack: float = 0.0
    """The chance that an acknowledgement is not sent (a later one says it too)."""
    repeat_ack: float = 0.0
    send_back: float = 0.0
    """The chance that a batch is refused as if one before it were missing."""
    stop_flow: float = 0.0
    """The chance that the device is asked to wait for a moment."""
    closed_answer: str = "accept"
    """What a new Open of a closed session gets: `accept`, or `refuse`."""
    token_life_s: float | None = None
    """Tokens are good for so long after they are first seen; None for ever."""
    silent: bool = False
    """Takes everything and says nothing."""
    reject_batch: tuple[int, str] | None = None
    """Refuses this batch for this reason."""


def error_metadata(code: grpc.StatusCode, reason: str, domain: str) -> tuple[tuple[str, bytes]]:
    """The details of an error as they travel."""
    status = status_pb2.Status(code=code.value[0], message=reason)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain))
    return (("grpc-status-details-bin", status.SerializeToString()),)


class FakeTelemetry(telemetry_service_pb2_grpc.TelemetryServiceServicer):
    """The servicer."""

    def __init__(self, store: Store, mood: Mood) -> None:
        self.store = store
        self.mood = mood
        self.rng = random.Random(mood.seed)
        self.first_seen: dict[str, float] = {}

    def expiry_s(self, token: str) -> float | None:
        """When a token ends, by this machine's clock; it is first seen now, or was before."""
        seen = self.first_seen.setdefault(token, time.time())
        return None if self.mood.token_life_s is None else seen + self.mood.token_life_s

    async def StreamTelemetry(  # type: ignore[override]  # grpc.aio takes coroutines that write
        self, request_iterator: Any, context: Any
    ) -> None:
        """One stream of one device."""
        await _Line(self, context).serve(request_iterator)


class _Line:
    def __init__(self, server: FakeTelemetry, context: Any) -> None:
        self._server = server
        self._store = server.store
        self._mood = server.mood
        self._rng = server.rng
        self._context = context
        self._epoch = 0
        self._acknowledged = 0
        self._name = ""
        self._writing = asyncio.Lock()
        metadata = dict(context.invocation_metadata())
        self._token = str(metadata.get("authorization", "")).removeprefix("Bearer ")

    @property
    def _session(self) -> StoredSession:
        return self._store.sessions[self._name]

    async def serve(self, requests: Any) -> None:
        await self._check_token()
        first = True
        acks = asyncio.create_task(self._acknowledge_in_turn())
        try:
            async for request in requests:
                kind = request.WhichOneof("message")
                if first != (kind == "open"):
                    self._violation(f"message {kind} where open was {'' if first else 'not '}due")
                    await self._fail(grpc.StatusCode.FAILED_PRECONDITION, "OPEN_MISSING")
                first = False
                await self._maybe_cut()
                if not await self._take(kind, request):
                    return
                await self._maybe_cut()
        finally:
            acks.cancel()
            with suppress(asyncio.CancelledError):
                await acks

    async def _take(self, kind: str, request: Any) -> bool:
        if kind != "open" and self._epoch != self._session.epoch:
            await self._fail(grpc.StatusCode.ABORTED, "SESSION_ENDED")
        await self._check_token()
        if kind == "open":
            return await self._open(request.open)
        if kind == "batch":
            await self._batch(request.batch)
        elif kind == "clock_ping":
            await self._ping(request.clock_ping)
        elif kind == "renew":
            self._store.renewals += 1
            self._token = request.renew.access_token
            await self._check_token()
        elif kind == "close":
            return await self._close(request.close)
        return True

    async def _open(self, opening: pb.Open) -> bool:
        try:
            protovalidate.validate(opening)
        except protovalidate.ValidationError as error:
            self._violation(f"open: {error}")
        self._name = opening.session
        session = self._store.sessions.setdefault(
            opening.session, StoredSession(opening.description)
        )
        if opening.epoch <= session.epoch:
            self._violation(f"epoch {opening.epoch} after epoch {session.epoch}")
            await self._reject(0, "SESSION_FENCED", len(session.batches) + 1)
            return False
        if session.description != opening.description:
            self._violation("the description changed")
        session.epoch = self._epoch = opening.epoch
        session.opened += 1
        self._acknowledged = len(session.batches)
        if session.closed and self._mood.closed_answer == "refuse":
            await self._reject(0, "SESSION_CLOSED", len(session.batches) + 1)
            return False
        accepted = pb.Accepted(
            resume_from_seq=self._acknowledged + 1,
            window=self._mood.window,
            max_batch_samples=self._mood.max_batch_samples,
            activity=self._activity(),
        )
        if (expiry_s := self._server.expiry_s(self._token)) is not None:
            accepted.expire_time.FromNanoseconds(int(expiry_s * 1e9))
        await self._say(pb.StreamTelemetryResponse(accepted=accepted))
        return True

    async def _batch(self, batch: Batch) -> None:
        session = self._session
        stored = len(session.batches)
        if batch.seq - self._acknowledged > self._mood.window:
            self._violation(f"batch {batch.seq} while {self._acknowledged} was acknowledged")
        if self._mood.reject_batch and self._mood.reject_batch[0] == batch.seq:
            await self._reject(batch.seq, self._mood.reject_batch[1], stored + 1)
            return
        if batch.seq > stored + 1 or self._chance(self._mood.send_back):
            await self._reject(batch.seq, "BATCH_OUT_OF_ORDER", stored + 1)
            return
        self._check_columns(batch)
        if batch.seq <= stored:
            if session.batches[batch.seq - 1] != batch.SerializeToString():
                self._violation(f"batch {batch.seq} came again with other content")
            return
        if session.closed:
            self._violation(f"batch {batch.seq} after the close")
        session.batches.append(batch.SerializeToString())
        if self._chance(self._mood.stop_flow):
            await self._say(pb.StreamTelemetryResponse(flow=pb.Flow(window=0)))
            await asyncio.sleep(0.02)
            await self._say(pb.StreamTelemetryResponse(flow=pb.Flow(window=self._mood.window)))

    def _check_columns(self, batch: Batch) -> None:
        channels = self._session.description.channels
        count = len(batch.time_deltas_ms) // 4
        if not 1 <= count <= self._mood.max_batch_samples:
            self._violation(f"batch {batch.seq} has {count} samples")
        for column in batch.columns:
            width = 8 if channels[column.channel].encoding == 2 else 4
            if len(column.values) != width * count:
                self._violation(f"batch {batch.seq}: column {column.channel} has another length")
            if column.validity and len(column.validity) != (count + 7) // 8:
                self._violation(f"batch {batch.seq}: validity {column.channel} has another length")

    async def _ping(self, ping: pb.ClockPing) -> None:
        if ping.HasField("offset_ms"):
            self._session.offsets_ms.append(ping.offset_ms)
        now = Timestamp()
        now.GetCurrentTime()
        pong = pb.ClockPong(device_time=ping.device_time, receive_time=now, send_time=now)
        await self._say(pb.StreamTelemetryResponse(clock_pong=pong))

    async def _close(self, close: pb.Close) -> bool:
        if close.last_seq > len(self._session.batches):
            return True  # a batch was sent back meanwhile; the close comes again after it
        await self._finish_acks()
        self._session.summary = close.summary
        self._session.closed = True
        await self._maybe_cut()
        await self._say(pb.StreamTelemetryResponse(closed=pb.Closed(activity=self._activity())))
        return False

    async def _acknowledge_in_turn(self) -> None:
        while True:
            await asyncio.sleep(self._mood.ack_delay_s or 0.001)
            if not self._name or self._acknowledged >= len(self._session.batches):
                continue
            if not self._chance(self._mood.forget_ack):
                await self._finish_acks()

    async def _finish_acks(self) -> None:
        stored = len(self._session.batches)
        times = 2 if self._chance(self._mood.repeat_ack) else 1
        # Known as acknowledged before it is sent: the device may be quick.
        self._acknowledged = max(stored, self._acknowledged)
        for _ in range(times):
            await self._say(pb.StreamTelemetryResponse(ack=pb.Ack(seq=stored)))

    async def _maybe_cut(self) -> None:
        if self._store.cuts < self._mood.cuts_at_most and self._chance(self._mood.cut):
            self._store.cuts += 1
            await self._fail(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")

    async def _check_token(self) -> None:
        expiry_s = self._server.expiry_s(self._token)
        if not self._token or (expiry_s is not None and time.time() > expiry_s):
            await self._fail(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")

    async def _reject(self, seq: int, reason: str, resume_from: int) -> None:
        await self._say(
            pb.StreamTelemetryResponse(
                reject=pb.Reject(seq=seq, reason=reason, detail="", resume_from_seq=resume_from)
            )
        )

    async def _fail(self, code: grpc.StatusCode, reason: str) -> None:
        await self._writing.acquire()
        self._context.set_trailing_metadata(error_metadata(code, reason, "integration.palestra"))
        await self._context.abort(code, reason)

    async def _say(self, message: pb.StreamTelemetryResponse) -> None:
        # gRPC takes one write at a time; acknowledgements come from a task of their own.
        async with self._writing:
            if not self._mood.silent:
                await self._context.write(message)

    def _activity(self) -> str:
        return f"{USER}/activities/{self._name}"

    def _chance(self, chance: float) -> bool:
        return chance > 0 and self._rng.random() < chance

    def _violation(self, what: str) -> None:
        self._store.violations.append(what)


@asynccontextmanager
async def telemetry_server(
    store: Store, mood: Mood, port: int = 0
) -> AsyncIterator[tuple[FakeTelemetry, str]]:
    """Serves until the block ends; answers with the servicer and the target."""
    server = grpc.aio.server()
    servicer = FakeTelemetry(store, mood)
    telemetry_service_pb2_grpc.add_TelemetryServiceServicer_to_server(servicer, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield servicer, f"127.0.0.1:{bound}"
    finally:
        await server.stop(0)
