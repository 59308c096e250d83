"""Killing a stack's processes at random instants while watches stream, and counting after.

Owns the seed, the instants and what must hold afterwards. CHAOS_SEED repeats a run's
choices; what falls between them is the machine's.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.athletes import Athlete, Club
from tests.support.local_stack import until
from tests.support.watches import Sent, Watch
from tests.support.whole_stack import WholeStack

TARGETS = ("training", "integration", "edge", "node", "redis", "postgres", "control")
"""Everything whose death nobody may notice but by waiting."""
RECOVERY_S = 10.0
SETTLED_S = 15.0
_AT_MOST_APART_S = 1.5
RECORDED = "palestra.training.v1.ActivityRecorded"


def seed() -> int:
    """Of this run; printed by who uses it."""
    told = os.environ.get("CHAOS_SEED")
    return int(told) if told else random.SystemRandom().getrandbits(32)


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill and how long the stack took to be whole again."""

    process: str
    status_s: float
    """Until all was SERVING."""
    use_s: float
    """Until a call through the edge was answered as it should be."""


@dataclass(slots=True)
class Round:
    """Watches that stream while processes die."""

    club: Club
    rng: random.Random
    folder: Path
    athletes: list[Athlete] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    @property
    def stack(self) -> WholeStack:
        """Where it happens."""
        return self.club.stack

    def run(self, watches: int, targets: Sequence[str]) -> None:
        """Streams, kills one process per target, lets the watches end their workouts."""
        self.athletes = [self.club.register() for _ in range(watches)]
        asyncio.run(self._run(targets))

    async def _run(self, targets: Sequence[str]) -> None:
        going_on = True
        watches = [
            Watch(athlete, self.folder / f"{number}", random.Random(self.rng.getrandbits(32)))
            for number, athlete in enumerate(self.athletes)
        ]
        tasks = [asyncio.create_task(watch.train(lambda: going_on)) for watch in watches]
        try:
            for target in targets:
                await asyncio.sleep(self.rng.uniform(0.1, _AT_MOST_APART_S))
                self.kills.append(await asyncio.to_thread(self._kill, target))
        finally:
            going_on = False
            for sent in await asyncio.gather(*tasks):
                self.sent += sent

    def _kill(self, target: str) -> Kill:
        name = self.rng.choice(self.stack.names(target))
        begun = time.monotonic()
        restarts = self.stack.kill(name)
        self.stack.recovered(name, restarts, RECOVERY_S)
        status_s = time.monotonic() - begun
        until(self._is_usable, RECOVERY_S - status_s, f"calls are answered after {name}'s death")
        return Kill(name, status_s, time.monotonic() - begun)

    def _is_usable(self) -> bool:
        athlete = self.athletes[0]
        try:
            answers = [
                athlete.rest.get(f"/v1/users/me{path}", timeout=2.0)
                for path in ("", "/devices", "/progress")
            ]
        except httpx.TransportError:
            return False
        return all(answer.status_code == httpx.codes.OK for answer in answers)

    # --- what must hold afterwards

    @property
    def whole(self) -> list[Sent]:
        """The workouts that arrived; the others are `unfinished`."""
        return [each for each in self.sent if each.report.whole]

    def unfinished(self) -> list[str]:
        """Workouts that did not arrive whole."""
        return [
            f"{each.report.session}: {each.report.error or each.report}"
            for each in self.sent
            if not each.report.whole or each.report.lost
        ]

    async def lost_or_twice(self) -> list[str]:
        """What of the finished workouts is stored otherwise than it was sent."""
        found = []
        for each in self.whole:
            found += [f"{each.report.session}: {word}" for word in await each.differences()]
            activity = each.athlete.get(each.report.activity)["activity"]
            if activity["state"] != "ACTIVITY_STATE_FINISHED":
                found.append(f"{each.report.session} is {activity['state']}")
            if int(activity["sampleCount"]) != len(each.samples.rows):
                found.append(f"{each.report.session} counts {activity['sampleCount']} samples")
        return found

    def events_settled(self) -> None:
        """Waits until every event that was committed is published and handled."""
        until(self._events_are_settled, SETTLED_S, "every event is published and handled")

    def _events_are_settled(self) -> bool:
        with self.stack.database() as database, self.stack.redis() as bus:
            (waiting,) = database.execute(
                "SELECT count(*) FROM training.outbox WHERE published_at IS NULL"
            ).fetchone() or (None,)
            groups = [
                group
                for key in bus.scan_iter("events:training:*")
                for group in bus.xinfo_groups(key)
            ]
        return waiting == 0 and all(group["pending"] == 0 and group["lag"] == 0 for group in groups)

    def events_lost_or_twice(self) -> list[str]:
        """Where an activity was told otherwise than once, or counts otherwise than once."""
        self.events_settled()
        mine = Counter(each.report.activity for each in self.whole)
        with self.stack.database() as database:
            told = Counter(
                key
                for (key,) in database.execute(
                    "SELECT key FROM training.outbox WHERE type = %s", [RECORDED]
                )
                if key in mine
            )
            buried = database.execute("SELECT key, error FROM training.dead_letters").fetchall()
        found = [f"{key} is told {told[key]} times" for key in mine if told[key] != 1]
        found += [f"{key} is among the dead letters: {error}" for key, error in buried]
        return found + [word for each in self.athletes for word in self._counted_wrongly(each)]

    def _counted_wrongly(self, athlete: Athlete) -> list[str]:
        done = [each for each in self.whole if each.athlete is athlete]
        summaries = [athlete.get(each.report.activity)["activity"]["summary"] for each in done]
        expected = {
            "activityCount": len(done),
            "distanceM": sum(round(each["distanceM"] * 1000) for each in summaries),
            "movingS": sum(round(each["movingS"] * 1000) for each in summaries),
            "elapsedS": sum(round(each["elapsedS"] * 1000) for each in summaries),
        }
        totals = athlete.get("users/me/progress")["progress"]["totals"]
        found = {
            "activityCount": sum(int(each["activityCount"]) for each in totals),
            **{
                name: sum(round(each[name] * 1000) for each in totals)
                for name in ("distanceM", "movingS", "elapsedS")
            },
        }
        return [] if found == expected else [f"{athlete.user}: {found} instead of {expected}"]

    def figures(self) -> str:
        """For people: what was done and how long it took."""
        samples = sum(each.report.samples for each in self.sent)
        resumed = sum(each.report.resumed for each in self.sent)
        again = sum(each.report.repeated_batches for each in self.sent)
        slowest = max(self.kills, key=lambda kill: kill.use_s)
        mean_s = sum(kill.use_s for kill in self.kills) / len(self.kills)
        return (
            f"{len(self.kills)} kills, {len(self.sent)} workouts, {samples} samples, "
            f"{resumed} resumptions, {again} batches again; usable again after "
            f"{mean_s:.2f} s on average, {slowest.use_s:.2f} s at most ({slowest.process})"
        )
