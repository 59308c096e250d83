"""Use case of proving oneself once more, for what must be one's own will."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.identity.factors import rules
from services.identity.factors.proofs import Proof
from services.identity.factors.second_step import SecondStep
from services.identity.factors.store import FactorStore
from services.identity.sessions.flow import SessionFlow

BY_PASSWORD = frozenset({"pwd"})
Knows = Callable[[uuid.UUID, str], Awaitable[None]]
"""Raises where the password is not the person's, or may not be tried now."""


@dataclass(frozen=True, slots=True)
class StepUp:
    """Renews the proof of a session, and gives an access token that says so."""

    store: FactorStore
    second_step: SecondStep
    sessions: SessionFlow
    knows: Knows

    async def by_factor(
        self, user_id: uuid.UUID, session_id: uuid.UUID, ticket: str, proof: Proof
    ) -> tuple[str, int]:
        """By a second factor; the access token, and the seconds that it lives.

        Raises:
            SignInTicketInvalid, SecondFactorWrong, SecondFactorThrottled
            RefreshTokenInvalid: the session has ended meanwhile.
        """
        await self.second_step.again(user_id, session_id, ticket, proof)
        return await self.sessions.access_token(user_id, session_id)

    async def by_password(
        self, user_id: uuid.UUID, session_id: uuid.UUID, password: str
    ) -> tuple[str, int]:
        """By the password, of somebody who has no second factor; likewise.

        Raises:
            SecondFactorNeeded, RefreshTokenInvalid
            Exception: whatever says that the password is wrong.
        """
        if (await self.store.factors(user_id)).is_second:
            raise rules.SecondFactorNeeded
        await self.knows(user_id, password)
        await self.sessions.proved(user_id, session_id, BY_PASSWORD)
        return await self.sessions.access_token(user_id, session_id)
