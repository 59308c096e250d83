"""One stream: carries out what `session.py` decides.

Owns the reading and writing, the pings, the renewal of the token and the watch
over a silent peer. Decides nothing about batches.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra_client import PalestraError, Unauthenticated, tokens_of
from palestra_watch import clock
from palestra_watch.line import Line
from palestra_watch.session import Phase, Send, Session, StreamBroken
from palestra_watch.spool import Spool
from palestra_watch.tokens import TokenSource

PING_S = 5.0
SILENCE_S = 15.0
"""A server answers pings; one that says nothing for so long is gone."""
_RENEW_AGAIN_S = 2.0


class Stream:
    """One opening of the session, on one line."""

    def __init__(
        self,
        line: Line,
        token: str,
        session: Session,
        spool: Spool,
        tokens: TokenSource,
        wake: asyncio.Event,
        on_accepted: Callable[[], None],
        on_progress: Callable[[], None],
        before_sending: Callable[[], None],
    ) -> None:
        self._line = line
        self._token = token
        self._session = session
        self._spool = spool
        self._tokens = tokens
        self._wake = wake
        self._on_accepted = on_accepted
        self._on_progress = on_progress
        self._before_sending = before_sending
        self.measured: clock.Measured | None = None
        self.max_batch_samples = 0
        self.cue = ""
        self._ping_at = 0.0
        self._renew_at: float | None = None
        self._life_s = 0.0

    async def run(self, epoch: int) -> None:
        """Streams until the session is over.

        Raises:
            StreamBroken: the stream is of no more use.
            SessionRefused: the session cannot go on.
        """
        identity = self._spool.identity
        if identity is None:
            raise ValueError("the spool is for no session yet")
        self._session.opening()
        opening = pb.Open(session=identity.session, epoch=epoch, description=identity.described())
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write(opening))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if not reader.done() and writer.exception() is not None:
                # The server's last words say more than the writer's failure.
                await asyncio.wait({reader}, timeout=1.0)
            await (reader if reader.done() else writer)
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            await self._line.close()

    async def _read(self) -> None:
        while self._session.phase is not Phase.OVER:
            try:
                # Not wait_for: on Python 3.11 it can swallow the cancellation of its task.
                async with asyncio.timeout(SILENCE_S):
                    message = await self._line.read()
            except TimeoutError:
                raise StreamBroken(f"the server said nothing for {SILENCE_S:.0f} s") from None
            self._take(message)
            self._wake.set()

    def _take(self, message: pb.StreamTelemetryResponse) -> None:
        session = self._session
        kind = message.WhichOneof("message")
        if kind == "accepted":
            self._accepted(message.accepted)
        elif kind == "ack":
            session.on_ack(message.ack.seq)
        elif kind == "flow":
            session.on_flow(message.flow.window)
        elif kind == "reject":
            told = message.reject
            session.on_reject(told.seq, told.reason, told.detail, told.resume_from_seq)
        elif kind == "closed":
            session.on_closed(message.closed.activity)
        elif kind == "clock_pong":
            self.measured = clock.measure(message.clock_pong, clock.now_ms()) or self.measured
        elif kind == "cue":
            self.cue = message.cue.text
        self._settle()

    def _settle(self) -> None:
        if self._session.acknowledged > self._spool.acknowledged_seq:
            self._spool.acknowledge(self._session.acknowledged)
            self._on_progress()

    def _accepted(self, accepted: pb.Accepted) -> None:
        self._session.on_accepted(accepted.resume_from_seq, accepted.window, accepted.activity)
        self._settle()
        self.max_batch_samples = accepted.max_batch_samples
        if accepted.max_batch_samples and self._spool.split_waiting(accepted.max_batch_samples):
            self._session.renumbered(self._spool.last_seq)
        self._on_accepted()
        if accepted.HasField("expire_time"):
            self._plan_renewal(clock.to_ms(accepted.expire_time) / 1000)

    def _plan_renewal(self, expire_time_s: float) -> None:
        """At two thirds of what is left, or a minute before the end if that is later."""
        offset_s = self.measured.offset_ms / 1000 if self.measured else 0.0
        left_s = expire_time_s - (time.time() + offset_s)
        # Where a later token does not say how long it lives: as long as this one.
        self._life_s = self._life_s or max(left_s, 0.1)
        self._renew_at = time.monotonic() + max(left_s * 2 / 3, left_s - 60, 0.0)

    async def _write(self, opening: pb.Open) -> None:
        await self._send(pb.StreamTelemetryRequest(open=opening))
        while True:
            self._wake.clear()
            self._session.on_made(
                self._spool.last_seq, complete=self._spool.close_message is not None
            )
            while (what := self._session.next()) is not Send.NOTHING:
                self._before_sending()
                message = self._message(what)
                # Before the await: an answer may come, and send us back, while it lasts.
                self._session.on_sent(what)
                await self._send(message)
            await self._keep_alive()
            await self._sleep()

    def _message(self, what: int | Send) -> pb.StreamTelemetryRequest:
        if isinstance(what, int):
            return pb.StreamTelemetryRequest(batch=self._spool.batch(what))
        close = pb.Close(last_seq=self._spool.last_seq)
        if self._spool.close_message is not None:
            close.summary.CopyFrom(self._spool.close_message.summary)
        return pb.StreamTelemetryRequest(close=close)

    async def _keep_alive(self) -> None:
        if self._session.phase is not Phase.STREAMING:
            return
        now = time.monotonic()
        if now >= self._ping_at:
            self._ping_at = now + PING_S
            message = clock.ping(clock.now_ms(), self.measured)
            await self._send(pb.StreamTelemetryRequest(clock_ping=message))
        if self._renew_at is not None and now >= self._renew_at:
            await self._renew()

    async def _renew(self) -> None:
        try:
            fresh = await self._tokens.renewed(self._token)
        except Unauthenticated:
            # The stream lives as long as its token; the next one will say what is wrong.
            self._renew_at = None
            return
        except PalestraError:
            self._renew_at = time.monotonic() + _RENEW_AGAIN_S
            return
        await self._send(pb.StreamTelemetryRequest(renew=pb.Renew(access_token=fresh)))
        self._token = fresh
        # 0 where the token does not say.
        self._plan_renewal(tokens_of(fresh).expire_time_s or time.time() + self._life_s)

    async def _sleep(self) -> None:
        times = [at for at in (self._ping_at, self._renew_at) if at]
        wait_s = max(0.0, min(times) - time.monotonic()) if times else PING_S
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _send(self, message: pb.StreamTelemetryRequest) -> None:
        try:
            async with asyncio.timeout(SILENCE_S):
                await self._line.write(message)
        except TimeoutError as error:
            raise StreamBroken("the stream takes no more messages") from error
