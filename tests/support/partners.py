"""Apps of others and service accounts on the real database, at a time of the test's own."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, OKPKey, RSAKey
from sqlalchemy import func, insert, select

from mesh.runtime.calls import User
from mesh.runtime.clock import now
from mesh.runtime.ids import user_id as new_user_id
from mesh.runtime.ids import uuid7
from mesh.runtime.sealing import Sealer, make_key
from mesh.runtime.sql import Statement
from mesh.runtime.tokens import Verifier
from services.identity.clients.flow import Asked, ClientFlow
from services.identity.clients.rules.clients import HOUSE, Authentication, Client
from services.identity.clients.rules.credentials import JWT_BEARER
from services.identity.clients.store import ClientStore
from services.identity.oauth.ending import Ending
from services.identity.oauth.flow import Decision, OAuthFlow
from services.identity.oauth.introspection import Introspection
from services.identity.oauth.openid import OpenIdFlow
from services.identity.oauth.store import OAuthStore
from services.identity.oauth.tokens import Issued, TokenFlow
from services.identity.oauth.veil import Veil
from services.identity.sessions.chains import Chains
from services.identity.sessions.flow import SessionFlow
from services.identity.sessions.store import SessionStore
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.profiles import PROFILES
from services.identity.tables.sessions import SESSIONS
from tests.support.signing_keys import ring_of
from tests.support.told_counters import Bus

ISSUER = "https://api.example"
REDIRECT = "https://partner.example/back"
SCOPES = ("activities.read", "email", "openid", "profile", "profile.read")
_SEALER = Sealer((make_key(),))
"""One for all: what one test has sealed in a database of theirs, the next one meets."""
_LIVE = Statement(select(func.count()).select_from(SESSIONS).where(SESSIONS.c.ended_at.is_(None)))


@dataclass
class Clock:
    """Time that goes on only when told."""

    at: datetime = field(default_factory=now)

    def __call__(self) -> datetime:
        return self.at

    def go_on(self, delta: timedelta) -> None:
        """Lets time pass."""
        self.at += delta


@dataclass
class Partners:
    """Identity's parts that apps of others deal with; one worker's, as all are alike."""

    bus: Bus
    clock: Clock = field(default_factory=Clock)
    unverified: set[uuid.UUID] = field(default_factory=set)
    sealer: Sealer = _SEALER

    def __post_init__(self) -> None:
        """Joins the parts as `services.identity.service` does."""
        database = self.bus.publisher
        keys = ring_of(database, self.clock, self.sealer)
        self.sessions = SessionFlow(
            store=SessionStore(database),
            keys=keys,
            scopes=frozenset({*SCOPES, "account.write"}),
            access_token_s=900,
            clock=self.clock,
            chains=Chains(self.sealer),
        )
        self.verifier = Verifier(keys.public_keys, lambda: self.clock().timestamp())
        store = OAuthStore(database)
        self.clients = ClientFlow(
            store=ClientStore(database),
            app_scopes=frozenset(SCOPES),
            all_scopes=frozenset({*SCOPES, "reports.read"}),
            audiences=frozenset({ISSUER, f"{ISSUER}/oauth2/token"}),
            is_reachable=self._is_reachable,
            on_change=Ending(store, self.sessions, self.clock),
            clock=self.clock,
        )
        veil = Veil(self.sealer)
        self.oauth = OAuthFlow(store, self.clients, self.sessions, ISSUER, veil, self.clock)
        self.openid = OpenIdFlow(
            clients=self.clients,
            keys=keys,
            veil=veil,
            verify=self.verifier.verify,
            name_of=self._name_of,
            email_of=self._email_of,
            issuer=ISSUER,
            clock=self.clock,
        )
        self.introspection = Introspection(
            self.clients, self.sessions, veil, self.verifier.verify, self.clock
        )
        self.tokens = TokenFlow(
            store=store,
            clients=self.clients,
            sessions=self.sessions,
            keys=keys,
            region=0,
            verify=self.verifier.verify,
            veil=veil,
            openid=self.openid,
            clock=self.clock,
        )

    async def _name_of(self, user_id: uuid.UUID) -> str:
        return f"Name of {user_id}"

    async def _email_of(self, user_id: uuid.UUID) -> str:
        return "" if user_id in self.unverified else f"{user_id}@example.com"

    async def _is_reachable(self, user_id: uuid.UUID) -> bool:
        return user_id not in self.unverified

    async def person(self, name: str = "Vera") -> uuid.UUID:
        """Somebody with an account."""
        user_id, at = new_user_id(0), self.clock()
        values: dict[str, Any] = {
            "user_id": user_id,
            "email": f"{user_id}@example.com",
            "email_key": f"{user_id}@example.com",
            "password_hash": "none",
            "created_at": at,
        }
        known = {column.name for column in ACCOUNTS.c}
        made = {key: value for key, value in values.items() if key in known}
        await self.bus.publisher.run(Statement(insert(ACCOUNTS).values(made)), {})
        profile = {
            "user_id": user_id,
            "display_name": name,
            "bio": "",
            "avatar": "",
            "avatar_stale": False,
            "version": 1,
            "created_at": at,
            "updated_at": at,
        }
        await self.bus.publisher.run(Statement(insert(PROFILES).values(profile)), {})
        return user_id

    async def app(self, owner: uuid.UUID | None = None, **changed: Any) -> tuple[Client, str]:
        """An app of somebody's, and its secret."""
        owner = owner or await self.person("Partner")
        return await self.clients.create(owner, uuid7(), replace(app_asked(), **changed))

    async def service_account(self, **changed: Any) -> tuple[Client, str]:
        """A service account, and its secret."""
        asked = replace(app_asked(), about="nightly reports", redirect_uris=(), **changed)
        return await self.clients.create(HOUSE, uuid7(), asked)

    async def browser(self, user_id: uuid.UUID, amr: frozenset[str] = frozenset({"pwd"})) -> str:
        """The cookie of a browser in which somebody is signed in."""
        return await self.oauth.signed_in(await self.sessions.open(user_id, amr=amr))

    async def code(self, client: Client, cookie: str, request: Request | None = None) -> str:
        """The code that a yes of the person gives."""
        request = request or Request(client)
        uri = await self.oauth.decide(request.pairs, cookie, Decision.ALLOW)
        told = answer(uri)
        assert "code" in told, told
        return told["code"]

    async def exchange(self, request: Request, code: str, secret: str, /, **changed: str) -> Issued:
        """The token request of an honest app, but for what is `changed`."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": request.redirect_uri,
            "code_verifier": request.verifier,
            "client_id": str(request.client.client_id),
        }
        if secret:
            form["client_secret"] = secret
        return await self.tokens.issue(list((form | changed).items()), "")

    async def refresh(self, client: Client, token: str, secret: str, **changed: str) -> Issued:
        """The refresh request of an honest app, but for what is `changed`."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": str(client.client_id),
            "client_secret": secret,
        }
        return await self.tokens.issue(list((form | changed).items()), "")

    async def user(self, token: str) -> User:
        """Whom an access token speaks for."""
        return await self.verifier.verify(token)

    async def live_sessions(self) -> int:
        """How many sessions go on."""
        row = await self.bus.publisher.row(_LIVE, {})
        assert row is not None
        return int(row[0])


def app_asked() -> Asked:
    """An app that proves itself by a secret."""
    return Asked(
        "Partner", "https://partner.example", (REDIRECT,), SCOPES, Authentication.SECRET, ()
    )


@dataclass(frozen=True)
class Request:
    """An app's request, with the verifier that it keeps to itself."""

    client: Client
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    redirect_uri: str = REDIRECT
    scope: str = "activities.read"
    more: tuple[tuple[str, str], ...] = ()
    without: frozenset[str] = frozenset()

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """As it is told at the authorisation endpoint."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        told = {
            "response_type": "code",
            "client_id": str(self.client.client_id),
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": "of-the-app",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return [*(pair for pair in told.items() if pair[0] not in self.without), *self.more]


def answer(uri: str) -> dict[str, str]:
    """What a way back tells the app."""
    query = urlsplit(uri).query
    assert all(len(values) == 1 for values in parse_qs(query).values()), query
    return dict(parse_qsl(query))


def key_pair(kind: str = "EdDSA") -> OKPKey | ECKey | RSAKey:
    """A client's own key."""
    parameters: KeyParameters = {"kid": f"key-{secrets.token_hex(4)}"}
    if kind == "EdDSA":
        return OKPKey.generate_key("Ed25519", parameters)
    if kind == "ES256":
        return ECKey.generate_key("P-256", parameters)
    return RSAKey.generate_key(2048, parameters)


def public(key: OKPKey | ECKey | RSAKey) -> str:
    """What is registered of a key."""
    return json.dumps(key.as_dict(private=False))


def assertion(
    client: Client, key: OKPKey | ECKey | RSAKey, at: datetime, kind: str = "EdDSA", **changed: Any
) -> list[tuple[str, str]]:
    """The form fields by which a client proves itself by its key; None leaves a claim out."""
    issued = int(at.timestamp())
    claims = {
        "iss": str(client.client_id),
        "sub": str(client.client_id),
        "aud": f"{ISSUER}/oauth2/token",
        "iat": issued,
        "exp": issued + 60,
        "jti": secrets.token_hex(8),
    } | changed
    told = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode({"alg": kind, "kid": key.kid}, told, key, algorithms=[kind])
    return [("client_assertion_type", JWT_BEARER), ("client_assertion", token)]
