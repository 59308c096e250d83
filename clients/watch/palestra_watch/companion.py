"""Takes one recording to the server, whatever happens on the way.

Decides when a stream is opened again and when that has no sense any more. What
is sent is `session.py`'s decision, when it is made `replay.py`'s.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from palestra_client import DeadlineExceeded, PalestraError, Unavailable
from palestra_watch.ledger import Ledger
from palestra_watch.line import Dial
from palestra_watch.pace import backoff_s
from palestra_watch.recording import Recording
from palestra_watch.replay import Replay, Speed
from palestra_watch.report import Report
from palestra_watch.session import Phase, Session, SessionRefused, StreamBroken
from palestra_watch.spool import Spool
from palestra_watch.stream import Stream
from palestra_watch.tokens import TokenSource

PATIENCE_S = 300.0
"""How long the server may be away before the companion keeps the rest for later."""
FENCED = 3
"""How often another stream may take the session before we leave it to it."""


class GaveUp(Exception):
    """The server was away too long; what is left is kept."""


@dataclass(slots=True)
class Status:
    """What a display shows; changes as the sending goes on."""

    state: str = "starting"
    made_samples: int = 0
    acknowledged_samples: int = 0
    resumed: int = 0
    waiting_batches: int = 0
    cue: str = ""


@dataclass(slots=True)
class Settings:
    """How a session is sent."""

    speed: Speed
    patience_s: float = PATIENCE_S
    rng: random.Random = field(default_factory=random.Random)
    on_status: Callable[[Status], None] = lambda _: None


class Companion:
    """Sends one recording from one spool."""

    def __init__(
        self,
        dial: Dial,
        tokens: TokenSource,
        recording: Recording,
        spool: Spool,
        settings: Settings,
        ledger: Ledger | None = None,
    ) -> None:
        self._dial = dial
        self._tokens = tokens
        self._recording = recording
        self._spool = spool
        self._settings = settings
        self._ledger = ledger
        complete = spool.close_message is not None
        self._session = Session(spool.acknowledged_seq, spool.last_seq, complete=complete)
        self._wake = asyncio.Event()
        self.status = Status()
        self._accepted_streams = 0 if spool.epoch == 0 else 1
        self._sent = 0
        self._failures = 0
        self._fenced = 0
        self._signed_out = False
        self._max_batch_samples = 0
        self._offset_ms: int | None = None
        self._began = self._progress_at = time.monotonic()

    async def run(self) -> Report:
        """Sends what there is to send; answers with what became of it.

        Never raises for what the server or the network did: the report says it.
        """
        if self._spool.activity is not None:
            return self._report("")
        replay = Replay(
            self._recording,
            self._spool,
            self._settings.speed,
            lambda: self._max_batch_samples,
            self._made,
        )
        player = asyncio.create_task(replay.run())
        sender = asyncio.create_task(self._send())
        try:
            await asyncio.wait({player, sender}, return_when=asyncio.FIRST_EXCEPTION)
            await asyncio.gather(*(task for task in (player, sender) if task.done()))
        except (SessionRefused, GaveUp, PalestraError) as error:
            self._say("stopped")
            return self._report(str(error))
        finally:
            player.cancel()
            sender.cancel()
            await asyncio.gather(player, sender, return_exceptions=True)
        self._spool.finish(self._session.activity)
        self._say("finished")
        return self._report("")

    async def _send(self) -> None:
        while self._session.phase is not Phase.OVER:
            try:
                await self._one_stream()
            except StreamBroken as error:
                await self._after(error)
            except (Unavailable, DeadlineExceeded) as error:
                await self._after(StreamBroken(str(error)))

    async def _one_stream(self) -> None:
        self._say("connecting")
        token = await self._token()
        line = await self._dial(token)
        epoch = self._spool.next_epoch()
        stream = Stream(
            line,
            token,
            self._session,
            self._spool,
            self._tokens,
            self._wake,
            self._accepted,
            self._progress,
            self._before_sending,
        )
        try:
            await stream.run(epoch)
        finally:
            self._offset_ms = stream.measured.offset_ms if stream.measured else self._offset_ms
            self._max_batch_samples = stream.max_batch_samples or self._max_batch_samples

    async def _token(self) -> str:
        token = await self._tokens.access_token()
        return await self._tokens.renewed(token) if self._signed_out else token

    async def _after(self, error: StreamBroken) -> None:
        if error.signed_out and self._signed_out:
            raise SessionRefused("", f"the server does not take the sign-in: {error}")
        self._signed_out = error.signed_out
        self._fenced += error.fenced
        if self._fenced > FENCED:
            raise SessionRefused("", f"another companion is sending this session: {error}")
        if time.monotonic() - self._progress_at > self._settings.patience_s:
            raise GaveUp(f"the server could not be reached: {error}")
        self._say(f"waiting: {error}")
        await asyncio.sleep(backoff_s(self._failures, self._settings.rng))
        self._failures += 1

    def _accepted(self) -> None:
        self._accepted_streams += 1
        self.status.resumed = max(0, self._accepted_streams - 1)
        self._say("streaming")

    def _progress(self) -> None:
        self._progress_at = time.monotonic()
        self._failures = self._fenced = 0
        self._signed_out = False
        self._say("streaming")

    def _made(self) -> None:
        self._wake.set()
        self._say(self.status.state)

    def _before_sending(self) -> None:
        """Nothing goes out before it is on the disk, and in the ledger if there is one."""
        self._spool.sync()
        if self._ledger is not None:
            self._ledger.catch_up(self._spool)
        self._sent += 1

    def _say(self, state: str) -> None:
        status = self.status
        status.state = state
        status.made_samples = self._spool.made_samples
        status.acknowledged_samples = self._spool.acknowledged_samples
        status.waiting_batches = self._spool.waiting_batches
        self._settings.on_status(status)

    def _report(self, error: str) -> Report:
        spool = self._spool
        finished = spool.activity is not None
        not_made = self._recording.samples - spool.next_row
        return Report(
            label=self._recording.label,
            session=spool.identity.session if spool.identity else "",
            activity=spool.activity or self._session.activity,
            finished=finished,
            samples=self._recording.samples,
            sent_batches=self._sent,
            repeated_batches=self._session.sent_again,
            acknowledged_samples=spool.acknowledged_samples,
            acknowledged_batches=spool.acknowledged_seq,
            kept_samples=spool.waiting_samples + not_made,
            resumed=max(0, self._accepted_streams - 1),
            rejected=self._session.rejected,
            clock_offset_ms=self._offset_ms,
            elapsed_s=round(time.monotonic() - self._began, 3),
            error=error,
            remarks=self._recording.remarks,
        )
