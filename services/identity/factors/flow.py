"""Use cases of setting second factors up and taking them away."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from mesh.runtime.sealing import Sealer
from services.identity.blocks.rules import StaffProtected
from services.identity.factors import rules, tickets
from services.identity.factors.passkeys import CHALLENGE_BYTES, Passkey, RelyingParty
from services.identity.factors.rules import Factors
from services.identity.factors.store import FactorStore
from services.identity.factors.tickets import Ticket
from services.identity.revocations.flow import until

_TOTP, _PASSKEY = "totp enrolment", "passkey enrolment"


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """What an authenticator app needs, shown once."""

    token: str
    secret: str
    """Base32, to be typed."""
    uri: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PasskeyOffer:
    """What a browser needs to make a passkey."""

    token: str
    options: str
    """JSON."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class FactorFlow:
    """Setting up and taking away."""

    store: FactorStore
    sealer: Sealer
    relying_party: RelyingParty
    is_staff: Callable[[uuid.UUID], Awaitable[bool]]
    """Whether somebody has a role."""
    longest_token_s: float
    """So long a token lives that says roles of who loses his last factor."""
    clock: Clock

    async def factors(self, user_id: uuid.UUID) -> tuple[Factors, list[Passkey]]:
        """What a person has set up."""
        return await self.store.factors(user_id), await self.store.passkeys(user_id)

    async def create_totp(self, user_id: uuid.UUID, account: str) -> TotpOffer:
        """A secret for an app. Nothing is kept of it until it is confirmed.

        Raises:
            TotpExists
        """
        if (await self.store.factors(user_id)).totp is not None:
            raise rules.TotpExists
        secret = os.urandom(rules.TOTP_SECRET_BYTES)
        ticket = self._ticket(_TOTP, user_id, secret)
        return TotpOffer(
            tickets.seal(ticket, self.sealer),
            rules.base32(secret),
            rules.otpauth_uri(secret, account or rules.ISSUER),
            ticket.expires_at,
        )

    async def confirm_totp(self, user_id: uuid.UUID, token: str, code: str) -> None:
        """Keeps a secret whose app shows the right code; a repeat finds it kept.

        Raises:
            EnrolmentInvalid, ConfirmationWrong
            TotpExists: another one was confirmed meanwhile.
        """
        now = self.clock()
        ticket, secret = self._enrolment(_TOTP, user_id, token, now)
        step = rules.step_of(secret, code, now)
        if step is None:
            raise rules.ConfirmationWrong
        sealed = self.sealer.seal(secret, totp_place(user_id))
        if await self.store.add_totp(user_id, ticket.ticket_id, sealed, step, now):
            return
        held = (await self.store.factors(user_id)).totp
        if held is None or held.totp_id != ticket.ticket_id:
            raise rules.TotpExists

    async def delete_totp(self, user_id: uuid.UUID) -> None:
        """Forgets the app; nothing where there is none."""
        now = self.clock()
        await self.store.remove_totp(user_id, now, self._until(now))

    async def create_recovery_codes(self, user_id: uuid.UUID) -> Sequence[str]:
        """New recovery codes, shown once; those before serve no more.

        Raises:
            SecondFactorMissing
        """
        codes = [
            rules.recovery_code(os.urandom(rules.RECOVERY_BYTES))
            for _ in range(rules.RECOVERY_CODES)
        ]
        hashes = [code_hash(user_id, each) for each in codes]
        if not await self.store.new_codes(user_id, hashes, self.clock()):
            raise rules.SecondFactorMissing
        return codes

    async def start_passkey(self, user_id: uuid.UUID, account: str) -> PasskeyOffer:
        """What a browser needs to make a passkey.

        Raises:
            PasskeysTooMany
        """
        held = await self.store.passkeys(user_id)
        if len(held) >= rules.MOST_PASSKEYS:
            raise rules.PasskeysTooMany
        challenge = os.urandom(CHALLENGE_BYTES)
        ticket = self._ticket(_PASSKEY, user_id, challenge)
        options = self.relying_party.creation_options(
            user_id, account or rules.ISSUER, challenge, held
        )
        return PasskeyOffer(tickets.seal(ticket, self.sealer), options, ticket.expires_at)

    async def create_passkey(
        self, user_id: uuid.UUID, token: str, credential: str, name: str
    ) -> Passkey:
        """Keeps the passkey that a browser made; a repeat finds it kept.

        Raises:
            EnrolmentInvalid, PasskeyRefused, PasskeysTooMany
        """
        now = self.clock()
        ticket, challenge = self._enrolment(_PASSKEY, user_id, token, now)
        made = self.relying_party.registered(credential, challenge, ticket.ticket_id, name, now)
        if await self.store.add_passkey(ticket, user_id, made):
            return made
        return await self._kept(user_id, made)

    async def _kept(self, user_id: uuid.UUID, made: Passkey) -> Passkey:
        for each in await self.store.passkeys(user_id):
            if (each.passkey_id, each.credential_id) == (made.passkey_id, made.credential_id):
                return each
        raise rules.EnrolmentInvalid

    async def rename_passkey(self, user_id: uuid.UUID, passkey_id: uuid.UUID, name: str) -> Passkey:
        """Names a passkey anew.

        Raises:
            PasskeyNotFound
        """
        done = await self.store.rename_passkey(user_id, passkey_id, name)
        if done is None:
            raise rules.PasskeyNotFound
        return done

    async def delete_passkey(self, user_id: uuid.UUID, passkey_id: uuid.UUID) -> None:
        """Forgets a passkey; nothing where there is none."""
        now = self.clock()
        await self.store.remove_passkey(user_id, passkey_id, now, self._until(now))

    async def plan_reset(
        self, user_id: uuid.UUID, by: uuid.UUID, why: str, *, as_administrator: bool = False
    ) -> datetime:
        """Support's: all factors go after a wait, unless the person shows one of them before.

        Of who has a role only an administrator resets them: without the factor, whoever
        knows the password could set up his own, and have the role.

        Raises:
            SecondFactorMissing, StaffProtected
        """
        if not as_administrator and await self.is_staff(user_id):
            raise StaffProtected
        now = self.clock()
        await self.store.plan_reset(user_id, now + rules.RESET_WAIT, by, why, now)
        at = (await self.store.factors(user_id)).reset_at
        if at is None:
            raise rules.SecondFactorMissing
        return at

    def _until(self, now: datetime) -> datetime:
        return until(now, self.longest_token_s)

    async def tidy(self) -> None:
        """Does the resets that are due, and forgets old tickets."""
        now = self.clock()
        while await self.store.reset(now, self._until(now)):
            pass
        await self.store.forget_tickets(self.clock())

    def _ticket(self, purpose: str, user_id: uuid.UUID, secret: bytes) -> Ticket:
        told = {"user": str(user_id), "secret": base64.b64encode(secret).decode()}
        return Ticket(purpose, uuid7(), self.clock() + rules.ENROLMENT_LIFETIME, told)

    def _enrolment(
        self, purpose: str, user_id: uuid.UUID, token: str, now: datetime
    ) -> tuple[Ticket, bytes]:
        try:
            ticket = tickets.unseal(token, purpose, self.sealer, now)
        except tickets.TicketInvalid:
            raise rules.EnrolmentInvalid from None
        if ticket.told["user"] != str(user_id):
            raise rules.EnrolmentInvalid
        return ticket, base64.b64decode(ticket.told["secret"])


def totp_place(user_id: uuid.UUID) -> str:
    """Where a secret is sealed for."""
    return f"totp/{user_id}"


def code_hash(user_id: uuid.UUID, code: str) -> bytes:
    """A recovery code as it is kept: 80 random bits need no slow hash, and no key."""
    return hashlib.sha256(user_id.bytes + rules.plain_recovery_code(code)).digest()
