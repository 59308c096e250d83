"""Use cases of clients: registering, changing, ending them, and knowing one that asks."""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from mesh.runtime.clock import Clock
from services.identity.clients import assertions
from services.identity.clients.rules import clients as rules
from services.identity.clients.rules import credentials
from services.identity.clients.rules.clients import Authentication, Client, Secret, Wanted
from services.identity.clients.rules.errors import (
    AddressNotVerified,
    ClientKeyInvalid,
    ClientNotFound,
    EtagMismatch,
    OAuthClientInvalid,
)
from services.identity.clients.store import FORGET_AT_ONCE, ClientStore, Ends
from services.identity.revocations.flow import until

BEGINNING = (datetime.fromtimestamp(0, UTC), uuid.UUID(int=0))
"""Where the first page of a list begins."""
MOST_FORGETTINGS = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client is to be, as somebody says it."""

    display_name: str
    about: str
    redirect_uris: Sequence[str]
    scopes: Sequence[str]
    authentication: int
    jwks: Sequence[str]


Reachable = Callable[[uuid.UUID], Awaitable[bool]]
"""Whether a person's address is verified."""


class Ending(Protocol):
    """Ends what a client was given."""

    async def __call__(self, client: Client, *, gone: bool) -> None:
        """Ends its tokens, and its grants where it is gone."""


@dataclass(frozen=True, slots=True)
class ClientFlow:
    """The registry of clients."""

    store: ClientStore
    app_scopes: frozenset[str]
    """What apps of others may ask for."""
    all_scopes: frozenset[str]
    audiences: frozenset[str]
    """Whom an assertion may be for: the issuer, and its token endpoint."""
    is_reachable: Reachable
    on_change: Ending
    """Called where a client can do less than before: its tokens end."""
    clock: Clock

    async def create(
        self, user_id: uuid.UUID, client_id: uuid.UUID, asked: Asked
    ) -> tuple[Client, str]:
        """Registers a client; a repeat gets the first one, and no secret.

        Raises:
            AddressNotVerified, TooManyClients, RequestIdReused, ClientTextInvalid,
            RedirectUriInvalid, ScopeUnknown, ClientKeyInvalid
        """
        service = user_id == rules.HOUSE
        told = self._told(asked, service=service)
        if not service and not await self.is_reachable(user_id):
            raise AddressNotVerified
        now, secret = self.clock(), ""
        secrets: tuple[Secret, ...] = ()
        if told.authentication is Authentication.SECRET:
            secret = rules.secret_text(os.urandom(rules.SECRET_BYTES))
            secrets = (Secret(rules.hash_of(secret), now, None),)
        made = (user_id, client_id, told, secrets, told.fingerprint, 1, now)
        client = Client(*made, sector=uuid.uuid4())
        most = rules.MOST_SERVICE_ACCOUNTS if service else rules.MOST_APPS
        found = await self.store.add(client, most)
        return (client, secret) if found is None else (rules.repeated(client, found), "")

    async def clients(
        self, user_id: uuid.UUID, after: tuple[datetime, uuid.UUID], size: int
    ) -> tuple[list[Client], bool]:
        """A page of clients, the oldest first, and whether more follow."""
        found = await self.store.clients(user_id, after, size + 1)
        return found[:size], len(found) > size

    async def update(
        self, user_id: uuid.UUID, client_id: uuid.UUID, asked: Asked, version: int | None
    ) -> Client:
        """Changes what a client is; what it may no longer do ends at once.

        Raises:
            ClientNotFound, EtagMismatch, ClientTextInvalid, RedirectUriInvalid,
            ScopeUnknown, ClientKeyInvalid
        """
        before = await self.owned(user_id, client_id)
        kept = replace(asked, authentication=int(before.told.authentication))
        told = self._told(kept, service=before.is_service)
        if told == before.told:
            return before
        if version is not None and version != before.version:
            raise EtagMismatch
        after = await self.store.update(
            replace(before, told=told), self._ends(before, when=not _may_all(before.told, told))
        )
        if after is None:
            # Its twin, at the same instant, did the same.
            meanwhile = await self.owned(user_id, client_id)
            if meanwhile.told != told:
                raise EtagMismatch
            return meanwhile
        if set(before.told.scopes) - set(told.scopes):
            await self.on_change(after, gone=False)
        return after

    async def rotate(
        self, user_id: uuid.UUID, client_id: uuid.UUID, overlap: timedelta
    ) -> tuple[Client, str]:
        """Makes a new secret.

        Raises:
            ClientNotFound, ClientHasNoSecret
        """
        client = await self.owned(user_id, client_id)
        rules.check_has_secret(client)
        now, secret = self.clock(), rules.secret_text(os.urandom(rules.SECRET_BYTES))
        # Without an overlap the secret before is one that somebody else may have.
        ends = self._ends(client, when=not overlap)
        after = await self.store.rotate(client, rules.hash_of(secret), now, now + overlap, ends)
        if after is None:
            raise ClientNotFound
        return after, secret

    async def delete(self, user_id: uuid.UUID, client_id: uuid.UUID) -> None:
        """Ends a client; nothing where there is none."""
        now = self.clock()
        ends = _ends_of(now) if user_id == rules.HOUSE else None
        if await self.store.end(user_id, client_id, now, ends):
            await self.finish()

    async def finish(self) -> None:
        """Ends what clients were given that have ended or are suspended, as often as it takes."""
        for user_id, client_id, name in await self.store.ended(FORGET_AT_ONCE):
            told = Wanted(name, "", (), (), Authentication.NONE, "")
            ended = Client(user_id, client_id, told, (), b"", 0, self.clock())
            await self.on_change(ended, gone=True)
            await self.store.drop(user_id, client_id)
        for client in await self.store.suspended(FORGET_AT_ONCE, self.clock()):
            await self.on_change(client, gone=False)

    async def owned(self, user_id: uuid.UUID, client_id: uuid.UUID) -> Client:
        """A client of somebody's.

        Raises:
            ClientNotFound
        """
        found = await self.store.client(client_id, self.clock())
        if found is None or found.user_id != user_id:
            raise ClientNotFound
        return found

    async def authenticate(self, form: dict[str, str], authorization: str) -> Client:
        """The client that a request to the token endpoint comes from, proved.

        Raises:
            OAuthRequestInvalid, OAuthClientInvalid
        """
        subject = assertions.subject_of(form.get("client_assertion", ""))
        shown = credentials.shown(form, authorization, subject)
        client = await self.store.client(shown.client_id, self.clock())
        if client is None:
            raise OAuthClientInvalid("there is no such client")
        if client.suspended:
            raise OAuthClientInvalid("the app is suspended")
        kind = client.told.authentication
        if kind is Authentication.PRIVATE_KEY_JWT:
            await self._prove(client, shown.assertion)
        elif kind is Authentication.SECRET:
            if not shown.secret or not client.knows(shown.secret, self.clock()):
                raise OAuthClientInvalid("the secret is not this client's")
        elif shown.secret or shown.assertion:
            raise OAuthClientInvalid("the client has nothing to prove itself with")
        return client

    async def forget(self) -> None:
        """Drops assertions that nobody takes any more."""
        before = self.clock() - 2 * assertions.LEEWAY
        for _ in range(MOST_FORGETTINGS):
            if await self.store.forget_assertions(before) < FORGET_AT_ONCE:
                return

    def _ends(self, client: Client, *, when: bool) -> Ends | None:
        return _ends_of(self.clock()) if when and client.is_service else None

    async def _prove(self, client: Client, shown: str) -> None:
        found = assertions.verify(
            shown, client.told.keys, client.client_id, self.audiences, self.clock()
        )
        if not await self.store.use(client.client_id, found):
            raise OAuthClientInvalid("the assertion was used before")

    def _told(self, asked: Asked, *, service: bool) -> Wanted:
        told = rules.described(
            asked.display_name,
            asked.about,
            asked.redirect_uris,
            asked.scopes,
            asked.authentication,
            assertions.key_set(asked.jwks),
            grantable=self.all_scopes if service else self.app_scopes,
            service=service,
        )
        by_key = told.authentication is Authentication.PRIVATE_KEY_JWT
        if by_key != bool(told.keys):
            raise ClientKeyInvalid("keys", "go with private_key_jwt, and only with it")
        return told


def _may_all(before: Wanted, after: Wanted) -> bool:
    """Whether a client can do and prove afterwards whatever it could before."""
    keys = set(assertions.jwks_of(before.keys)) <= set(assertions.jwks_of(after.keys))
    return keys and set(before.scopes) <= set(after.scopes)


def _ends_of(now: datetime) -> Ends:
    return Ends(now, until(now, rules.SERVICE_TOKEN_S))
