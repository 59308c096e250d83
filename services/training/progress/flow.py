"""Use cases of progress: read it, and keep it as activities come, change and go."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from mesh.runtime.clock import Clock
from mesh.runtime.sql import Session
from palestra.training.v1 import events_pb2
from services.training.progress import store
from services.training.progress.rules import (
    Amount,
    Counted,
    DayKey,
    Period,
    counted,
    increments,
    latest_today,
    resolve_range,
    roll_up,
)
from services.training.progress.store import ProgressStore


@dataclass(frozen=True, slots=True)
class ProgressFlow:
    """Reading what activities add up to."""

    store: ProgressStore
    clock: Clock

    async def totals(
        self,
        user_id: uuid.UUID,
        period: Period,
        start: date | None,
        end: date | None,
        sports: Collection[int],
    ) -> list[tuple[DayKey, Amount]]:
        """Per period and sport.

        Raises:
            ProgressRangeInvalid
        """
        first, last = resolve_range(start, end, latest_today(self.clock()), period)
        return roll_up(await self.store.days(user_id, first, last), period, sports)


async def count(
    session: Session,
    before: events_pb2.ActivityTotals | None,
    after: events_pb2.ActivityTotals | None,
) -> None:
    """Takes away what an activity counted for, and adds what it counts for from now on."""
    totals = after or before
    if totals is None:
        return
    user_id = uuid.UUID(totals.activity.split("/")[1])
    changes = increments(
        _counted(before) if before is not None else None,
        _counted(after) if after is not None else None,
    )
    await store.add(session, user_id, changes)


def _counted(totals: events_pb2.ActivityTotals) -> Counted:
    day = totals.local_date
    return counted(
        date(day.year, day.month, day.day),
        totals.sport,
        elapsed_s=totals.elapsed_s,
        moving_s=totals.moving_s,
        distance_m=totals.distance_m,
        ascent_m=totals.ascent_m,
    )
