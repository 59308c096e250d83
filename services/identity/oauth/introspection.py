"""Use case of introspection (RFC 7662): an app asks what its own tokens are worth.

Nobody hears of another's: to him they are not active.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from mesh.runtime.calls import User
from mesh.runtime.clock import Clock
from mesh.runtime.errors import MeshError
from services.identity.clients.flow import ClientFlow
from services.identity.clients.rules import credentials
from services.identity.clients.rules.clients import Authentication, Client
from services.identity.clients.rules.errors import OAuthRequestInvalid
from services.identity.oauth import veil
from services.identity.oauth.rules import openid
from services.identity.oauth.rules.errors import ClientUnauthorized
from services.identity.oauth.rules.requests import Pairs
from services.identity.oauth.veil import Veil
from services.identity.sessions import rules as sessions
from services.identity.sessions.flow import SessionFlow


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is worth something."""

    client_id: str
    subject: str
    """The person's number in the app; the account's own name where it is a service account."""
    scopes: tuple[str, ...]
    is_access: bool
    issued_at_s: int
    expires_at_s: int
    auth_time_s: int


@dataclass(frozen=True, slots=True)
class Introspection:
    """Answers apps."""

    clients: ClientFlow
    sessions: SessionFlow
    veil: Veil
    verify: Callable[[str], Awaitable[User]]
    clock: Clock

    async def introspect(self, pairs: Pairs, authorization: str) -> Token | None:
        """What a token is worth; None where it is nothing, or not the app's.

        Raises:
            OAuthRequestInvalid, OAuthClientInvalid
            ClientUnauthorized: an app that cannot prove itself is told nothing.
        """
        form = credentials.parameters(pairs)
        client = await self.clients.authenticate(form, authorization)
        if client.told.authentication is Authentication.NONE:
            raise ClientUnauthorized
        if "token" not in form:
            raise OAuthRequestInvalid("token is missing")
        found = await self._access(client, form["token"])
        return found or await self._refresh(client, form["token"])

    async def _access(self, client: Client, token: str) -> Token | None:
        try:
            user = await self.verify(self.veil.under(token, veil.ACCESS))
        except MeshError as error:
            if error.reason == "UNAVAILABLE":
                raise
            return None
        if user.client != str(client.client_id):
            return None
        return Token(
            client_id=user.client,
            subject=str(user.id) if user.is_service else openid.number(client.sector, user.id),
            scopes=tuple(sorted(user.scopes)),
            is_access=True,
            issued_at_s=user.issued_at_s,
            expires_at_s=user.expire_time_s,
            auth_time_s=user.auth_time_s,
        )

    async def _refresh(self, client: Client, token: str) -> Token | None:
        """Looks as its use would, and uses nothing: a token of before is none, and no alarm."""
        now = self.clock()
        try:
            shown = sessions.RefreshToken.parse(self.veil.under(token, veil.REFRESH))
            found = await self.sessions.store.session(shown.user_id, shown.session_id, now)
            chain = self.sessions.chains.of(shown.user_id, shown.session_id)
            sessions.rotate(found, shown, chain, now)
        except (
            sessions.RefreshTokenInvalid,
            sessions.RefreshTokenReused,
            sessions.AccountBlocked,
        ):
            return None
        if found is None or found.client_id != str(client.client_id):
            return None
        return Token(
            client_id=found.client_id,
            subject=openid.number(client.sector, found.user_id),
            scopes=found.scopes or (),
            is_access=False,
            issued_at_s=_seconds(found.rotated_at),
            expires_at_s=_seconds(min(found.expires_at, found.rotated_at + sessions.LONGEST_IDLE)),
            auth_time_s=_seconds(found.proved_at),
        )


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
