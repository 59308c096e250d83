"""Checks what somebody shows as a second factor, and says how it is spent."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from mesh.runtime.sealing import Sealer
from services.identity.factors import rules, store
from services.identity.factors.flow import code_hash, totp_place
from services.identity.factors.passkeys import Passkey, RelyingParty
from services.identity.factors.store import FactorStore, Spend


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody shows: one of the three."""

    totp_code: str = field(default="", repr=False)
    recovery_code: str = field(default="", repr=False)
    passkey: str = field(default="", repr=False)
    """AuthenticationResponseJSON."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A proof that is right, if it was not spent before."""

    spend: Spend
    amr: frozenset[str]


@dataclass(frozen=True, slots=True)
class Proofs:
    """Checks proofs of a person."""

    store: FactorStore
    sealer: Sealer
    relying_party: RelyingParty

    async def check(
        self, user_id: uuid.UUID, proof: Proof, challenge: bytes, now: datetime
    ) -> Checked:
        """What a proof is worth; it counts once it is spent.

        Raises:
            SecondFactorWrong
        """
        if proof.passkey:
            return await self.passkey(user_id, proof.passkey, challenge, now, alone=False)
        if proof.recovery_code:
            spend = store.recovery_code(user_id, code_hash(user_id, proof.recovery_code), now)
            return Checked(spend, rules.BY_RECOVERY_CODE)
        return await self._totp(user_id, proof.totp_code, now)

    async def _totp(self, user_id: uuid.UUID, code: str, now: datetime) -> Checked:
        held = (await self.store.factors(user_id)).totp
        if held is None:
            raise rules.SecondFactorWrong
        step = rules.step_of(self.sealer.open(held.secret, totp_place(user_id)), code, now)
        # A wrong code goes the way of one that was used, to the same statement: both are told
        # alike, and after the same time.
        spent = held.last_step if step is None else step
        return Checked(store.totp(user_id, held.totp_id, spent), rules.BY_TOTP)

    async def passkey(
        self, user_id: uuid.UUID, credential: str, challenge: bytes, now: datetime, *, alone: bool
    ) -> Checked:
        """What a passkey's signature is worth.

        Raises:
            SecondFactorWrong
        """
        held = await self._held(user_id, credential, alone=alone)
        signed = self.relying_party.signed(credential, challenge, held, alone=alone)
        spend = store.passkey(
            user_id, signed.passkey_id, signed.sign_count, is_synced=signed.is_synced, now=now
        )
        amr = rules.amr_of_passkey(is_verified=signed.is_verified, is_synced=signed.is_synced)
        return Checked(spend, amr)

    async def _held(self, user_id: uuid.UUID, credential: str, *, alone: bool) -> Passkey:
        shown = self.relying_party.shown(credential)
        # An authenticator that was told which passkeys to use need not say whose they are.
        if shown.user_handle != user_id.bytes and (alone or shown.user_handle):
            raise rules.SecondFactorWrong
        for each in await self.store.passkeys(user_id):
            if each.credential_id == shown.credential_id:
                return each
        raise rules.SecondFactorWrong
