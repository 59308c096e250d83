"""Use cases of signing in elsewhere with Palestra: ID tokens, and what is told of a person."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from joserfc import jwt

from mesh.runtime.calls import User
from mesh.runtime.clock import Clock
from mesh.runtime.errors import MeshError
from mesh.runtime.tokens import ALGORITHM
from services.identity.clients.flow import ClientFlow
from services.identity.clients.rules.clients import Client
from services.identity.keys.flow import KeyRing
from services.identity.oauth import veil
from services.identity.oauth.rules import openid
from services.identity.oauth.rules.codes import Code
from services.identity.oauth.rules.errors import GrantInvalid, ScopeInvalid
from services.identity.oauth.veil import Veil

Told = Callable[[uuid.UUID], Awaitable[str]]
"""Something of a person; empty where there is none."""


@dataclass(frozen=True, slots=True)
class UserInfo:
    """What an app is told of a person."""

    subject: str
    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    """Proved to be his; None where the app may not know, or he has none."""


@dataclass(frozen=True, slots=True)
class OpenIdFlow:
    """The OpenID provider."""

    clients: ClientFlow
    keys: KeyRing
    veil: Veil
    verify: Callable[[str], Awaitable[User]]
    name_of: Told
    """As his public card shows it."""
    email_of: Told
    """The address that his letters go to, if it was verified."""
    issuer: str
    clock: Clock

    async def id_token(self, client: Client, code: Code) -> str:
        """The ID token of a code; empty where none was asked for.

        It is signed with the keys of access tokens, and is never one: its type, issuer and
        audience are others.
        """
        if openid.OPENID not in code.scopes:
            return ""
        now = self.clock()
        key = await self.keys.signer(now)
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": openid.TYPE}
        claims = openid.id_token(code, self.issuer, client.sector, now)
        return jwt.encode(header, claims, key, algorithms=[ALGORITHM])

    async def user_info(self, access_token: str) -> UserInfo:
        """What the app that holds a token may know.

        Raises:
            GrantInvalid: the token is none, or none any more.
            ScopeInvalid: it is not for that.
        """
        try:
            user = await self.verify(self.veil.under(access_token, veil.ACCESS))
        except MeshError as error:
            if error.reason == "UNAVAILABLE":
                raise
            # It is what is asked about, not who asks.
            raise GrantInvalid from None
        if openid.OPENID not in user.scopes:
            raise ScopeInvalid
        try:
            client = await self.clients.store.client(uuid.UUID(user.client), self.clock())
        except ValueError:
            client = None
        if client is None or client.suspended:
            raise GrantInvalid
        return UserInfo(
            subject=openid.number(client.sector, user.id),
            name=await self.name_of(user.id) if openid.PROFILE in user.scopes else None,
            email=await self.email_of(user.id) if openid.EMAIL in user.scopes else None,
        )
