"""What follows when somebody has proved himself: tokens, or one more question.

Owns the one way from a proof to a session. Whoever knows a password, or signed in elsewhere,
comes through here; nobody else opens a session for a person who signs in.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from services.identity.factors.second_step import SecondStep
from services.identity.sessions.flow import SessionFlow, SignedIn
from services.identity.sessions.rules import DeviceHint


@dataclass(frozen=True, slots=True)
class SignIn:
    """Decides what a proof is worth."""

    sessions: SessionFlow
    second_step: SecondStep

    async def proceed(
        self, user_id: uuid.UUID, amr: frozenset[str], device: DeviceHint
    ) -> SignedIn:
        """Signs a person in who has proved himself by `amr` (RFC 8176) just now.

        Raises:
            Asked: he has a second factor, and is to prove himself by it as well.
        """
        await self.second_step.ask(user_id, amr, device)
        return await self.sessions.open(user_id, amr=amr, device=device)
