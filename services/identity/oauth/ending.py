"""Ends what a client was given, where it may do less than before or is gone."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.runtime.clock import Clock
from services.identity.clients.rules.clients import Client
from services.identity.oauth.store import FORGET_AT_ONCE, OAuthStore
from services.identity.sessions.flow import SessionFlow

WHY = "its app changed or ended"


@dataclass(frozen=True, slots=True)
class Ending:
    """Sessions first come to nothing, then grants; a repeat goes on where one was cut."""

    store: OAuthStore
    sessions: SessionFlow
    clock: Clock

    async def __call__(self, client: Client, *, gone: bool) -> None:
        """Ends the tokens of a client, and all grants where it is `gone`."""
        if client.is_service:
            # Its tokens are of no stored session: their generation ended with the change.
            return
        name, now = client.told.display_name, self.clock()
        while gone and await self.store.end_grants(client.client_id, name, now) == FORGET_AT_ONCE:
            pass
        await self.sessions.end_client(str(client.client_id), WHY)
