"""Use cases of the token and revocation endpoints (RFC 6749 §3.2, RFC 7009)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from joserfc import jwt

from mesh.runtime.calls import User
from mesh.runtime.clock import Clock
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import uuid7
from mesh.runtime.tokens import ALGORITHM, AUDIENCE, ISSUER, TYPE
from services.identity.clients.flow import ClientFlow
from services.identity.clients.rules import credentials
from services.identity.clients.rules.clients import SERVICE_TOKEN_S, Client
from services.identity.clients.rules.errors import OAuthRequestInvalid
from services.identity.keys.flow import KeyRing
from services.identity.oauth import veil
from services.identity.oauth.openid import OpenIdFlow
from services.identity.oauth.rules import codes
from services.identity.oauth.rules.codes import Code, Ticket
from services.identity.oauth.rules.errors import (
    ClientUnauthorized,
    GrantInvalid,
    GrantTypeUnsupported,
    ScopeInvalid,
)
from services.identity.oauth.rules.requests import Pairs
from services.identity.oauth.store import OAuthStore
from services.identity.oauth.veil import Veil
from services.identity.sessions.flow import SessionFlow, SignedIn
from services.identity.sessions.rules import (
    NOWHERE,
    AccountBlocked,
    DeviceHint,
    RefreshToken,
    RefreshTokenInvalid,
    RefreshTokenReused,
)

SERVICE_ROLE = "service"
Form = dict[str, str]


@dataclass(frozen=True, slots=True)
class Issued:
    """What the token endpoint answers with."""

    access_token: str
    refresh_token: str
    expires_in_s: int
    scopes: tuple[str, ...]
    id_token: str = ""
    client: str = ""
    """Whose it is, for the audit."""


@dataclass(frozen=True, slots=True)
class TokenFlow:
    """Codes, refresh tokens and clients' own names, changed for access tokens."""

    store: OAuthStore
    clients: ClientFlow
    sessions: SessionFlow
    keys: KeyRing
    region: int
    verify: Callable[[str], Awaitable[User]]
    """The user that an access token speaks for."""
    veil: Veil
    openid: OpenIdFlow
    clock: Clock

    async def issue(self, pairs: Pairs, authorization: str, device: DeviceHint = NOWHERE) -> Issued:
        """A token, by the grant type that the form names.

        Raises:
            OAuthRequestInvalid, OAuthClientInvalid, GrantInvalid, ClientUnauthorized,
            GrantTypeUnsupported, ScopeInvalid
        """
        form = credentials.parameters(pairs)
        ways = {
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh_token,
            "client_credentials": self._by_name,
        }
        if "grant_type" not in form:
            raise OAuthRequestInvalid("grant_type is missing")
        if form["grant_type"] not in ways:
            raise GrantTypeUnsupported
        client = await self.clients.authenticate(form, authorization)
        if client.is_service != (form["grant_type"] == "client_credentials"):
            raise ClientUnauthorized
        return replace(await ways[form["grant_type"]](client, form, device), client=client.name)

    async def _by_code(self, client: Client, form: Form, device: DeviceHint) -> Issued:
        for name in ("code", "code_verifier"):
            if name not in form:
                raise OAuthRequestInvalid(f"{name} is missing")
        ticket = Ticket.parse(self.veil.under(form["code"], veil.CODE))
        if ticket is None:
            raise GrantInvalid
        now = self.clock()
        code = codes.check_code(
            await self.store.code(ticket.user_id, ticket.id),
            ticket,
            client.client_id,
            form.get("redirect_uri", ""),
            form["code_verifier"],
            now,
        )
        if code.used or not await self.store.use(code, now):
            return await self._replayed(code)
        return await self._exchanged(client, code, device)

    async def _exchanged(self, client: Client, code: Code, device: DeviceHint) -> Issued:
        try:
            done = await self.sessions.open(
                code.user_id,
                amr=frozenset(code.amr),
                client_id=str(client.client_id),
                scopes=frozenset(code.scopes),
                device=device,
                proved_at=code.proved_at,
            )
        except AccountBlocked:
            raise GrantInvalid from None
        if not await self.store.gave(code, done.session_id):
            # It was shown again meanwhile, or taken back: what it gave is over already. That
            # its first use was one is still true, and told.
            await self.sessions.end(code.user_id, done.session_id, "code replayed or taken back")
        issued = self._issued(done, code.scopes)
        return replace(issued, id_token=await self.openid.id_token(client, code))

    async def _replayed(self, code: Code) -> Issued:
        gave = await self.store.replayed(code, self.clock())
        if gave is not None:
            await self.sessions.end(code.user_id, gave, "code replayed")
        raise GrantInvalid

    async def _by_refresh_token(self, client: Client, form: Form, device: DeviceHint) -> Issued:
        if "refresh_token" not in form:
            raise OAuthRequestInvalid("refresh_token is missing")
        token = self.veil.under(form["refresh_token"], veil.REFRESH)
        try:
            shown = RefreshToken.parse(token)
            session = await self.sessions.store.session(
                shown.user_id, shown.session_id, self.clock()
            )
            if session is None or session.client_id != str(client.client_id):
                raise GrantInvalid
            granted = session.scopes or ()
            # Before the token moves on: a refusal must cost nothing.
            if self.sessions.is_of(shown, session) and not set(granted).issuperset(
                form.get("scope", "").split()
            ):
                raise ScopeInvalid
            done = await self.sessions.refresh(token, device, str(client.client_id))
        except (RefreshTokenInvalid, RefreshTokenReused, AccountBlocked):
            raise GrantInvalid from None
        return self._issued(done, granted)

    async def _by_name(self, client: Client, form: Form, _: DeviceHint) -> Issued:
        wanted = set(form.get("scope", "").split()) or set(client.told.scopes)
        if not wanted <= set(client.told.scopes):
            raise ScopeInvalid
        scopes = tuple(sorted(wanted))
        return Issued(await self._service_token(client, scopes), "", SERVICE_TOKEN_S, scopes)

    async def _service_token(self, client: Client, scopes: tuple[str, ...]) -> str:
        """A token in which subject and client are one (RFC 9068 §3).

        Its generation is the client's version as it was when it proved itself: whatever ended
        tokens since has ended this one.
        """
        client_id = str(client.client_id)
        now = self.clock()
        issued = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": client_id,
            "sid": str(uuid7()),
            "iat": issued,
            "exp": issued + SERVICE_TOKEN_S,
            "auth_time": issued,
            "amr": [],
            "scope": " ".join(scopes),
            "roles": [SERVICE_ROLE],
            "plan": "",
            "client_id": client_id,
            "gen": client.version,
            "region": self.region,
        }
        key = await self.keys.signer(now)
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}
        return jwt.encode(header, claims, key, algorithms=[ALGORITHM])

    async def revoke(self, pairs: Pairs, authorization: str) -> None:
        """Ends the session of a token of the client's own; silent about all others.

        Raises:
            OAuthRequestInvalid, OAuthClientInvalid
        """
        form = credentials.parameters(pairs)
        client = await self.clients.authenticate(form, authorization)
        if "token" not in form:
            raise OAuthRequestInvalid("token is missing")
        token = self.veil.under(form["token"], veil.REFRESH)
        await self.sessions.logout(token, str(client.client_id))
        try:
            user = await self.verify(self.veil.under(form["token"], veil.ACCESS))
        except MeshError:
            return
        if user.client == str(client.client_id) and not client.is_service:
            await self.sessions.end(user.id, uuid.UUID(user.session), "revoked by its app")

    def _issued(self, done: SignedIn, scopes: tuple[str, ...]) -> Issued:
        return Issued(
            self.veil.over(done.access_token, veil.ACCESS, scopes),
            self.veil.over(done.refresh_token, veil.REFRESH, scopes),
            done.expires_in_s,
            scopes,
        )
