"""Opens sessions of people who came from the shop, so that the shop's logout reaches each.

Between the shop's word and the session there may be minutes: the second factor is asked in
between. A logout that comes meanwhile finds no session; so it is asked after the session is
there, and what it was about does not stay.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from services.identity.sessions.flow import SessionFlow, SignedIn
from services.identity.sessions.rules import DeviceHint
from services.identity.sso.rules import Arrival
from services.identity.sso.store import SsoStore

WHY = "signed out in the shop"


@dataclass(frozen=True, slots=True)
class ShopOpening:
    """Sessions that came from the shop."""

    store: SsoStore
    sessions: SessionFlow
    clock: Clock

    async def __call__(
        self,
        user_id: uuid.UUID,
        amr: frozenset[str],
        device: DeviceHint,
        told: Mapping[str, str],
        proved_at: datetime | None,
    ) -> SignedIn | None:
        """Opens one; None where the shop's session has ended meanwhile.

        `told` is `Arrival.told`. `proved_at` None is now.

        Raises:
            AccountBlocked
        """
        arrival, session_id = Arrival.read(told), uuid7()
        # First its row, then the session, then the look: a logout that the look does not see
        # sees the session.
        await self.store.add_session(user_id, session_id, arrival)
        done = await self.sessions.open(
            user_id, amr=amr, device=device, proved_at=proved_at, session_id=session_id
        )
        if await self.store.logged_out(arrival):
            await self.sessions.end(user_id, session_id, WHY)
            return None
        return done
