"""Many watches in one process: the real companion, a spool and a ledger for each session."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from palestra.training.v1 import activity_service_pb2, activity_service_pb2_grpc, telemetry_pb2
from palestra_client import open_channel
from palestra_watch import state
from palestra_watch.batches import Limits
from palestra_watch.companion import PATIENCE_S, Companion, Settings, Status
from palestra_watch.ledger import Ledger
from palestra_watch.line import Dial
from palestra_watch.line_grpc import over_grpc
from palestra_watch.recording import Recording
from palestra_watch.replay import Speed
from palestra_watch.report import Report
from palestra_watch.sources.simulate import simulate
from palestra_watch.spool import Spool
from tests.support import ledgers
from tests.support.athletes import Athlete

_SMALL = 2


class Crowded(Speed):
    """As fast as acknowledged, in small batches: the window is full all the time."""

    def limits(self, max_batch_samples: int) -> Limits:
        """A sample or two, whatever the server would take."""
        return Limits(_SMALL)


AT_ONCE = Speed(0)
SPEEDS = (Speed(60), Speed(300), AT_ONCE, Crowded(0), Crowded(0), Crowded(0))


@dataclass(frozen=True, slots=True)
class Sent:
    """A session that a watch has sent, and all that it knows of it."""

    athlete: Athlete
    report: Report
    described: telemetry_pb2.SessionDescription
    ledger: Path

    @property
    def samples(self) -> ledgers.Samples:
        """What the ledger says was sent."""
        return ledgers.ledger(self.ledger, self.described)

    def stored_over_rest(self) -> ledgers.Samples:
        """What the server has, as JSON tells it."""
        found = self.athlete.get(f"{self.report.activity}/streams", resolution=0)
        return ledgers.of_rest(found, self.described)

    async def stored_over_grpc(self) -> ledgers.Samples:
        """What the server has, as packed columns tell it."""
        channel = open_channel(self.athlete.stack.target)
        try:
            stub = activity_service_pb2_grpc.ActivityServiceStub(channel)
            answer = await stub.GetActivityStreams(
                activity_service_pb2.GetActivityStreamsRequest(
                    name=self.report.activity, resolution=0
                ),
                metadata=self.athlete.metadata,
                timeout=10,
            )
        finally:
            await channel.close(None)
        return ledgers.of_grpc(answer, self.described)

    async def differences(self) -> list[str]:
        """What both answers say otherwise than the ledger does."""
        sent = self.samples
        found = ledgers.differences(sent, self.stored_over_rest())
        return found + ledgers.differences(sent, await self.stored_over_grpc())


@dataclass(slots=True)
class Watch:
    """One athlete's watch; each workout goes through a spool of its own."""

    athlete: Athlete
    folder: Path
    rng: random.Random = field(default_factory=random.Random)
    patience_s: float = PATIENCE_S
    status: Status = field(default_factory=Status)
    workouts: int = 0
    dial: Dial | None = None
    """Another line than gRPC."""

    async def send(self, recording: Recording, speed: Speed = AT_ONCE) -> Sent:
        """Sends a workout until the server has it, or the patience ends."""
        self.workouts += 1
        home = self.folder / f"{self.workouts}"
        channel = open_channel(self.athlete.stack.target)
        dial = self.dial or over_grpc(channel)
        try:
            with Spool(home) as spool:
                identity = state.begin(spool, recording, "test")
                described = identity.described()
                ledger = Ledger(home / "ledger.jsonl", identity.session, described)
                settings = Settings(speed, self.patience_s, self.rng, self._show)
                tokens = self.athlete.signed_in()
                companion = Companion(dial, tokens, recording, spool, settings, ledger)
                report = await companion.run()
                ledger.close()
        finally:
            await channel.close(None)
        return Sent(self.athlete, report, described, home / "ledger.jsonl")

    def _show(self, status: Status) -> None:
        self.status = status

    async def train(self, going_on: Callable[[], bool]) -> list[Sent]:
        """One workout after the other, of all lengths and speeds, while there is cause to."""
        sent = []
        while going_on():
            sport = self.rng.choice(["running", "cycling"])
            begun_ms = int(time.time() * 1000)
            recording = await asyncio.to_thread(
                simulate, sport, self.rng.randint(30, 600), self.rng.getrandbits(30), begun_ms
            )
            sent.append(await self.send(recording, self.rng.choice(SPEEDS)))
        return sent
