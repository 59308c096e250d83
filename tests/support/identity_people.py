"""Identity's sign-in on the real stores, at a time of the test's own, with a mailbox to read.

Owns how its capabilities are joined for tests: as `services.identity.service` does, but with
a clock that goes on only when told, and nobody who waits for answers to be alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mesh.runtime import contract
from mesh.runtime.clock import now
from mesh.runtime.sealing import Sealer, SealKey, make_key
from mesh.runtime.sql import Statement
from services.identity.addresses.flow import AddressFlow
from services.identity.addresses.store import AddressStore
from services.identity.auth.flow import AuthFlow
from services.identity.auth.passwords import Passwords
from services.identity.auth.recovery import RecoveryFlow
from services.identity.auth.signin import SignIn
from services.identity.auth.store import AuthStore
from services.identity.auth.strength import Strength
from services.identity.blocks.flow import BlockFlow
from services.identity.blocks.store import BlockStore
from services.identity.certificates.signing import Signer
from services.identity.certificates.store import CertificateKeyStore
from services.identity.codes.store import CodeStore
from services.identity.consents import documents
from services.identity.consents.flow import ConsentFlow
from services.identity.consents.store import ConsentStore
from services.identity.factors.flow import FactorFlow
from services.identity.factors.passkeys import RelyingParty
from services.identity.factors.proofs import Proofs
from services.identity.factors.second_step import SecondStep
from services.identity.factors.step_up import StepUp
from services.identity.factors.store import FactorStore
from services.identity.letters.flow import LetterFlow
from services.identity.letters.senders import Mailbox, Sender
from services.identity.letters.store import LetterStore
from services.identity.roles.flow import RoleFlow
from services.identity.roles.store import RoleStore
from services.identity.sessions.chains import Chains
from services.identity.sessions.flow import SessionFlow
from services.identity.sessions.store import SessionStore
from services.identity.throttle.counts import Counts
from services.identity.throttle.flow import Throttle
from tests.support.signing_keys import ring_of
from tests.support.told_counters import Bus

EMAIL = "Athlete@Example.com"
PASSWORD = "a long enough secret"
PATIENT = 1000
"""Calls that may wait for a hash: tests call all at once what people call one by one."""

NOWHERE: Mapping[str, int] = MappingProxyType({})
SITE = RelyingParty("palestra.example", ("https://palestra.example",))


@dataclass
class Clock:
    """Time that goes on only when told."""

    at: datetime = field(default_factory=now)

    def __call__(self) -> datetime:
        return self.at

    def go_on(self, delta: timedelta) -> None:
        self.at += delta


@dataclass
class Worker:
    """One process of identity."""

    auth: AuthFlow
    recovery: RecoveryFlow
    addresses: AddressFlow
    letters: LetterFlow
    sessions: SessionFlow
    factors: FactorFlow
    second_step: SecondStep
    step_up: StepUp
    roles: RoleFlow
    blocks: BlockFlow


@dataclass
class People:
    """Identity's workers, and what they share."""

    bus: Bus
    folder: Path
    clock: Clock = field(default_factory=Clock)
    key: SealKey = field(default_factory=make_key)
    sealer: Sealer = field(init=False)

    def __post_init__(self) -> None:
        """The deployment begins with one key."""
        self.sealer = Sealer((self.key,))

    def turn(self, newer: SealKey) -> None:
        """What workers seal with from now on; the key of before still opens."""
        self.sealer = Sealer((newer, self.key))

    def worker(
        self,
        passwords: Passwords | None = None,
        sender: Sender | None = None,
        redis: Any = None,
        **changed: Any,
    ) -> Worker:
        """A process; a second call is a second one."""
        database = self.bus.publisher
        sessions = SessionFlow(
            store=SessionStore(database),
            keys=ring_of(database, self.clock, self.sealer),
            scopes=frozenset({"profile.read"}),
            access_token_s=900,
            clock=self.clock,
            chains=Chains(self.sealer),
        )
        factor_store = FactorStore(database)
        proofs = Proofs(factor_store, self.sealer, SITE)
        second_step = SecondStep(factor_store, proofs, sessions, self.sealer, self.clock)
        store, codes = AuthStore(database), CodeStore(database)
        hashing, strength = passwords or Passwords(PATIENT), Strength()
        throttle = Throttle(Counts(redis or self.bus.redis), self.sealer, self.clock)
        told: dict[str, Any] = {"region": 7, "regions": {}, **changed}
        taken_over = told.pop("taken_over", ())
        auth = AuthFlow(
            store=store,
            passwords=hashing,
            strength=strength,
            throttle=throttle,
            sign_in=SignIn(sessions, second_step),
            consents=self.consents(),
            clock=self.clock,
            **told,
        )
        recovery = RecoveryFlow(
            store,
            codes,
            hashing,
            strength,
            throttle,
            sessions,
            self.sealer,
            self.clock,
            taken_over,
            alike_s=0.0,
        )
        addresses = AddressFlow(AddressStore(database), codes, self.sealer, self.clock)
        letters = LetterFlow(
            LetterStore(database), codes, sender or Mailbox(self.folder), self.sealer, self.clock
        )
        roles = RoleFlow(RoleStore(database), contract.roles(), 900, self.clock)
        blocks = BlockFlow(BlockStore(database), 900, self.clock)
        factors = FactorFlow(factor_store, self.sealer, SITE, roles.is_staff, 900, self.clock)
        step_up = StepUp(factor_store, second_step, sessions, recovery.knows)
        return Worker(
            auth,
            recovery,
            addresses,
            letters,
            sessions,
            factors,
            second_step,
            step_up,
            roles,
            blocks,
        )

    def consents(self, regions: Mapping[str, int] = NOWHERE) -> ConsentFlow:
        """What people agree to, by the texts that there are."""
        signer = Signer(CertificateKeyStore(self.bus.publisher), self.sealer, self.clock)
        store = ConsentStore(self.bus.publisher)
        return ConsentFlow(store, documents.read(), signer, regions, 7, self.clock)

    def mail(self, address: str = "") -> list[dict[str, Any]]:
        """The letters that were sent, the oldest first."""
        found = [json.loads(path.read_text()) for path in self.folder.glob("*.json")]
        chosen = [each for each in found if not address or each["to"] == address]
        return sorted(chosen, key=lambda each: str(each["time"]))

    async def code(self, worker: Worker, kind: str, address: str = EMAIL) -> str:
        """Sends what waits; the code of the newest letter of a kind."""
        await worker.letters.deliver()
        codes = [each["code"] for each in self.mail(address) if each["kind"] == kind]
        assert codes, f"no {kind} to {address}: {self.mail()}"
        return str(codes[-1])

    async def count(self, statement: Statement, **values: Any) -> int:
        """The one number that a statement answers with."""
        row = await self.bus.publisher.row(statement, values)
        assert row is not None
        return int(row[0])
