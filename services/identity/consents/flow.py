"""Use cases of consents: read, given, taken back, proved, asked for by services."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mesh.runtime.clock import Clock
from mesh.runtime.ids import keyed_id, uuid7
from mesh.runtime.outbox import Message
from mesh.runtime.sql import Session
from services.identity import events
from services.identity.certificates.signing import Signer
from services.identity.consents import rules
from services.identity.consents.receipts import KIND, claims_of
from services.identity.consents.rules import (
    Agreed,
    Asked,
    Catalogue,
    Evidence,
    Held,
    Place,
    Purpose,
    Record,
)
from services.identity.consents.store import Change, ConsentStore

END: Final[Place] = (datetime.max.replace(tzinfo=UTC), 0, 0)
"""Behind the newest record."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody said, and what he is still to be asked."""

    held: Mapping[Purpose, Held]
    needed: Sequence[Asked]
    outdated: Sequence[Asked]


@dataclass(frozen=True, slots=True)
class ConsentFlow:
    """Agreeing, and what follows from it."""

    store: ConsentStore
    catalogue: Catalogue
    signer: Signer
    regions: Mapping[str, int]
    """Where people of a country have their home; see `auth.rules.regions_of`."""
    region: int
    clock: Clock

    def asked_in(self, country: str) -> list[Asked]:
        """What people of a country are asked; of none, all that there is."""
        if country:
            return self.catalogue.of(frozenset({country}))
        return [each for _, each in sorted(self.catalogue.asked.items())]

    def version(self, asked: Asked, wanted: int) -> int:
        """Which version is shown: today's where 0.

        Raises:
            ConsentNotFound: there is none yet, or no such one.
        """
        current = asked.current(self.clock())
        found = asked.by_version.get(wanted) if wanted else current
        if found is None or current is None or found.version > current.version:
            raise rules.ConsentNotFound
        return found.version

    async def standing(self, user_id: uuid.UUID) -> Standing:
        """A person's consents.

        Raises:
            UserNotFound
        """
        countries, now = await self._countries(user_id), self.clock()
        held = await self.store.held(user_id)
        return Standing(
            held,
            self.catalogue.needed(held, countries, now),
            self.catalogue.outdated(held, countries, now),
        )

    async def give(
        self,
        user_id: uuid.UUID,
        method: str,
        request_id: str,
        texts: Sequence[Agreed],
        by: Evidence,
    ) -> list[Held]:
        """Agrees to texts, all or none; those of the same request again are as they are now.

        Raises:
            UserNotFound, ConsentTextUnknown, ConsentOutdated, RequestIdReused,
            ConsentChangedTooOften
        """
        now = self.clock()
        change = Change(user_id, keyed_id(user_id, method, request_id), _hash(texts), now, by)
        purposes = {each.purpose for each in texts}
        if not await self._is_repeat(change):
            await self._countries(user_id)
            agreed = self.catalogue.check(texts, now)
            await self.store.give(change, agreed, _events(user_id, agreed))
            await self._check_given(change, agreed)
        held = await self.store.held(user_id)
        return [each for purpose, each in sorted(held.items()) if purpose in purposes]

    async def _check_given(self, change: Change, agreed: Sequence[Agreed]) -> None:
        """Whether it took effect, or had no need to.

        Raises:
            ConsentChangedTooOften, RequestIdReused: its twin had another content.
        """
        if await self._is_repeat(change):
            return
        held = await self.store.held(change.user_id)
        is_given = all((one := held.get(each.purpose)) and one.given for each in agreed)
        # Where there was room, somebody took it back at the same instant.
        if not is_given and await self.store.is_full(change.user_id):
            raise rules.ConsentChangedTooOften

    async def _is_repeat(self, change: Change) -> bool:
        known = await self.store.known(change)
        if any(digest != change.request_hash for digest in known.values()):
            raise rules.RequestIdReused
        return bool(known)

    async def withdraw(
        self, user_id: uuid.UUID, purpose: Purpose, method: str, request_id: str, by: Evidence
    ) -> Held:
        """Takes one back; the same request again changes nothing.

        Raises:
            ConsentNotFound: it was never given.
            ConsentNeeded, RequestIdReused
        """
        record_id = keyed_id(user_id, method, request_id)
        digest = hashlib.sha256(purpose.slug.encode()).digest()
        change = Change(user_id, record_id, digest, self.clock(), by)
        if not await self._is_repeat(change):
            held = (await self.store.held(user_id)).get(purpose)
            if held is None:
                raise rules.ConsentNotFound
            countries = await self._countries(user_id)
            self.catalogue.check_withdrawable(purpose, countries)
            event = events.consent_changed(user_id, purpose, held.version, given=False)
            await self.store.withdraw(change, purpose, event)
        found = (await self.store.held(user_id)).get(purpose)
        if found is None:
            raise rules.ConsentNotFound
        return found

    async def records(
        self, user_id: uuid.UUID, purposes: Sequence[Purpose], before: Place, size: int
    ) -> tuple[list[Record], bool]:
        """A page of a person's history, the newest first, and whether more follow."""
        found = await self.store.records(user_id, purposes, before, size + 1)
        return found[:size], len(found) > size

    async def receipt(
        self, user_id: uuid.UUID, purpose: Purpose, record_id: uuid.UUID
    ) -> tuple[str, str]:
        """A receipt of one record, and the key that verifies it.

        Raises:
            ConsentNotFound
        """
        found = await self.store.record(user_id, purpose, record_id)
        if found is None:
            raise rules.ConsentNotFound
        return await self.signer.sign(KIND, claims_of(found)), await self.signer.public_key()

    async def check(
        self, users: Sequence[uuid.UUID], purpose: Purpose
    ) -> dict[uuid.UUID, tuple[bool, int]]:
        """Whether each agrees to a version that counts, and the version of his consent."""
        now = self.clock()
        held = await self.store.of_people(users, purpose)
        return {each.user_id: (self.catalogue.counts(each, now), each.revision) for each in held}

    def signing_up(
        self, texts: Sequence[Agreed], country: str, by: Evidence, *, whole: bool
    ) -> Callable[[uuid.UUID, Session], Awaitable[None]] | None:
        """What somebody agrees to as he signs up: looked at now, kept with the account.

        None where there is nothing to keep.

        Raises:
            ConsentTextUnknown, ConsentOutdated
            ConsentMissing: not all that is needed, and it was to be `whole`.
        """
        now = self.clock()
        agreed = self.catalogue.check(texts, now)
        countries = rules.countries_of(country, self.regions, self.region)
        if whole and (
            missing := self.catalogue.missing([e.purpose for e in agreed], countries, now)
        ):
            raise rules.ConsentMissing(missing)

        async def keep(user_id: uuid.UUID, session: Session) -> None:
            change = Change(user_id, uuid7(), _hash(agreed), now, by)
            await self.store.give(change, agreed, _events(user_id, agreed), session)

        return keep if agreed else None

    async def _countries(self, user_id: uuid.UUID) -> frozenset[str]:
        country = await self.store.country(user_id)
        if country is None:
            raise rules.UserNotFound
        return rules.countries_of(country, self.regions, self.region)


def _events(user_id: uuid.UUID, agreed: Sequence[Agreed]) -> list[Message]:
    return [events.consent_changed(user_id, e.purpose, e.version, given=True) for e in agreed]


def _hash(texts: Sequence[Agreed]) -> bytes:
    told = sorted(
        f"{each.purpose.value}/{each.version}/{each.language}/{each.sha256.hex()}" for each in texts
    )
    return hashlib.sha256("\n".join(told).encode()).digest()
