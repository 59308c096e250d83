"""Activities that ended while identity was away are told for whom they are as soon as it is back.

Until then they are their owners' alone. Nothing but the row says that one waits, so that no
process that is killed forgets any.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import structlog

from services.training.activities.flow import ActivityFlow
from services.training.activities.rules.audiences import Audience
from services.training.activities.rules.errors import EtagMismatch
from services.training.sharing.defaults import Defaults
from services.training.sharing.store import BEFORE_ALL, SharingStore

EVERY_S: Final = 2.0
MOST_ROUNDS: Final = 50
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Deciding:
    """What one process of training does by the clock."""

    store: SharingStore
    activities: ActivityFlow
    defaults: Defaults

    async def decide(self) -> None:
        """All that wait; those whose owner cannot be asked for, the next time."""
        after, decided = BEFORE_ALL, 0
        for _ in range(MOST_ROUNDS):
            waiting = await self.store.undecided(after)
            if not waiting:
                break
            after = waiting[-1]
            told = 0
            for user_id, theirs in itertools.groupby(waiting, attrgetter("user_id")):
                audience = await self.defaults.audience(user_id)
                if audience is Audience.UNSPECIFIED:
                    continue
                for activity in theirs:
                    try:
                        await self.activities.decide_audience(activity, audience)
                        told += 1
                    except EtagMismatch:
                        continue
            decided += told
            if not told:
                # Identity is away: the others need not be asked for.
                break
        if decided:
            _log.info("audiences_decided", count=decided)
