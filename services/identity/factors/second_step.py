"""Use cases of proving oneself by a second factor: at sign-in, alone, and once more."""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from mesh.runtime.sealing import Sealer
from services.identity.factors import rules, tickets
from services.identity.factors.passkeys import CHALLENGE_BYTES
from services.identity.factors.proofs import Checked, Proof, Proofs
from services.identity.factors.store import FactorStore
from services.identity.factors.tickets import Ticket
from services.identity.sessions.flow import SessionFlow, SignedIn
from services.identity.sessions.rules import DeviceHint

_SIGN_IN, _ALONE, _AGAIN = "sign-in", "passkey sign-in", "step-up"
_OWN = frozenset({"user", "amr", "device", "network", "challenge"})
"""What a ticket of a sign-in says without anybody elsewhere."""


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody is asked who has proved himself by one factor."""

    ticket: str
    kinds: tuple[str, ...]
    """`passkey`, `totp`, `recovery_code`."""
    passkey_options: str
    """JSON; empty where he has none."""
    expires_at: datetime


class Asked(rules.SecondFactorNeeded):
    """There is no session yet: somebody is asked for his second factor.

    Whoever opens sessions and does not expect it refuses by it.
    """

    def __init__(self, user_id: uuid.UUID, question: Question) -> None:
        super().__init__()
        self.user_id = user_id
        self.question = question


class OpeningElsewhere(Protocol):
    """Opens sessions of people whom somebody else vouched for."""

    async def __call__(
        self,
        user_id: uuid.UUID,
        amr: frozenset[str],
        device: DeviceHint,
        told: Mapping[str, str],
        proved_at: datetime | None,
    ) -> SignedIn | None:
        """Opens one; None where nobody vouches for the person any more."""


@dataclass(frozen=True, slots=True)
class SecondStep:
    """Asks for the second factor, and takes it."""

    store: FactorStore
    proofs: Proofs
    sessions: SessionFlow
    sealer: Sealer
    clock: Clock
    elsewhere: OpeningElsewhere | None = None
    """Opens the sessions of those who were asked with `elsewhere` told."""

    async def ask(
        self,
        user_id: uuid.UUID,
        amr: frozenset[str],
        device: DeviceHint,
        elsewhere: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Goes on where the person has nothing to be asked for, or has shown it already.

        `elsewhere` is what whoever vouched for him needs to know when the session opens.

        Raises:
            Asked
        """
        factors = await self.store.factors(user_id)
        if not factors.is_second or "mfa" in amr:
            return
        told = {
            "user": str(user_id),
            "amr": " ".join(sorted(amr)),
            "device": device.name,
            "network": device.network,
            **elsewhere,
        }
        raise Asked(user_id, await self._question(_SIGN_IN, user_id, factors, told))

    async def complete(self, text: str, proof: Proof) -> SignedIn:
        """Signs in who holds a ticket and proves himself by a second factor.

        Raises:
            SignInTicketInvalid, SecondFactorWrong, SecondFactorThrottled
            AccountBlocked: he may not sign in.
        """
        now = self.clock()
        ticket = self._opened(text, _SIGN_IN, now)
        user_id = uuid.UUID(ticket.told["user"])
        if not await self.store.try_ticket(ticket):
            raise rules.SignInTicketInvalid
        await self.store.charge(user_id, now)
        checked = await self.proofs.check(user_id, proof, _challenge(ticket), now)
        await self._spend(ticket, checked)
        amr = frozenset(ticket.told["amr"].split()) | checked.amr
        device = DeviceHint(ticket.told["device"], ticket.told["network"])
        if not ticket.told.keys() - _OWN:
            return await self.sessions.open(user_id, amr=amr, device=device)
        done = None
        if self.elsewhere is not None:
            done = await self.elsewhere(user_id, amr, device, ticket.told, None)
        if done is None:
            raise rules.SignInTicketInvalid
        return done

    def start_alone(self) -> Question:
        """What a browser needs to sign in by a passkey that it finds itself."""
        challenge = os.urandom(CHALLENGE_BYTES)
        ticket = self._ticket(_ALONE, challenge, {})
        options = self.proofs.relying_party.request_options(challenge, (), alone=True)
        text = tickets.seal(ticket, self.sealer)
        return Question(text, ("passkey",), options, ticket.expires_at)

    async def finish_alone(self, text: str, credential: str, device: DeviceHint) -> SignedIn:
        """Signs in by a passkey alone: what one has, and what one is or knows.

        Raises:
            SignInTicketInvalid, SecondFactorWrong, AccountBlocked
        """
        now = self.clock()
        ticket = self._opened(text, _ALONE, now)
        handle = self.proofs.relying_party.shown(credential).user_handle
        try:
            user_id = uuid.UUID(bytes=handle)
        except ValueError:
            raise rules.SecondFactorWrong from None
        checked = await self.proofs.passkey(
            user_id, credential, _challenge(ticket), now, alone=True
        )
        await self._spend(ticket, checked)
        return await self.sessions.open(user_id, amr=checked.amr, device=device)

    async def start_again(self, user_id: uuid.UUID, session: str) -> Question:
        """What somebody signed in is asked before something that must be his own will."""
        factors = await self.store.factors(user_id)
        told = {"user": str(user_id), "session": session}
        return await self._question(_AGAIN, user_id, factors, told)

    async def again(
        self, user_id: uuid.UUID, session_id: uuid.UUID, text: str, proof: Proof
    ) -> None:
        """Renews the session's proof by a second factor.

        Raises:
            SignInTicketInvalid, SecondFactorWrong, SecondFactorThrottled
        """
        now = self.clock()
        ticket = None
        if proof.passkey:
            ticket = self._opened(text, _AGAIN, now)
            if ticket.told["user"] != str(user_id) or ticket.told["session"] != str(session_id):
                raise rules.SignInTicketInvalid
        await self.store.charge(user_id, now)
        challenge = _challenge(ticket) if ticket else b""
        checked = await self.proofs.check(user_id, proof, challenge, now)
        await self._spend(ticket, checked)
        await self.sessions.proved(user_id, session_id, checked.amr)

    async def _question(
        self, purpose: str, user_id: uuid.UUID, factors: rules.Factors, told: dict[str, str]
    ) -> Question:
        challenge = os.urandom(CHALLENGE_BYTES)
        ticket = self._ticket(purpose, challenge, told)
        options = ""
        if factors.passkeys:
            held = await self.store.passkeys(user_id)
            options = self.proofs.relying_party.request_options(challenge, held, alone=False)
        text = tickets.seal(ticket, self.sealer)
        return Question(text, factors.kinds, options, ticket.expires_at)

    def _ticket(self, purpose: str, challenge: bytes, told: dict[str, str]) -> Ticket:
        more = told | {"challenge": base64.b64encode(challenge).decode()}
        return Ticket(purpose, uuid7(), self.clock() + rules.TICKET_LIFETIME, more)

    def _opened(self, text: str, purpose: str, now: datetime) -> Ticket:
        try:
            return tickets.unseal(text, purpose, self.sealer, now)
        except tickets.TicketInvalid:
            raise rules.SignInTicketInvalid from None

    async def _spend(self, ticket: Ticket | None, checked: Checked) -> None:
        if not await self.store.spend(ticket, checked.spend):
            raise rules.SecondFactorWrong


def _challenge(ticket: Ticket) -> bytes:
    return base64.b64decode(ticket.told["challenge"])
