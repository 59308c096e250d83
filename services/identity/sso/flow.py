"""Use cases of signing in with the shop: begun, ended, linked, read through, signed out there."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mesh.runtime.clock import Clock
from mesh.runtime.ids import user_id as new_user_id
from mesh.runtime.sealing import SealBroken, Sealer
from services.identity import events
from services.identity.auth.signin import SignIn
from services.identity.profiles.rules import DisplayNameInvalid, clean_display_name
from services.identity.sessions.flow import SessionFlow, SignedIn
from services.identity.sessions.rules import NOWHERE, DeviceHint
from services.identity.sso import rules
from services.identity.sso.opening import WHY, ShopOpening
from services.identity.sso.provider import Provider, Tokens
from services.identity.sso.rules import Arrival, Attempt, Identified, Link
from services.identity.sso.store import SsoStore

FEDERATED = frozenset({"fed"})
"""How the person proved himself: to somebody else. It is no second factor of ours."""
RENEWING_S = 15
EARLY_S = 30


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the person, and what to keep meanwhile."""

    authorization_uri: str
    token: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody came back from the shop with."""

    code: str
    state: str
    issuer: str
    token: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the shop tells of a person."""

    display_name: str = ""
    email: str = ""
    email_verified: bool = False
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The shop's tokens of a person, as they are kept."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    until_s: float
    """When the access token is over, in s since 1970."""
    id_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SsoFlow:
    """The relying party."""

    store: SsoStore
    provider: Provider | None
    """None where no shop is set up."""
    sessions: SessionFlow
    sign_in: SignIn
    opening: ShopOpening
    sealer: Sealer
    has_account: Callable[[str], Awaitable[bool]]
    """Whether an address is verified to be somebody's here."""
    redirect_uris: tuple[str, ...]
    """The site's own page first."""
    data_in_shop: bool
    """Whether names stay in the shop: then nothing but the subject is kept here."""
    region: int
    clock: Clock

    async def start(self, redirect_uri: str, *, anew: bool = False) -> Begun:
        """Begins a sign-in; `anew`, the shop asks the person whoever is signed in there.

        Raises:
            SsoOff, SsoUnavailable, SsoRedirectInvalid
        """
        provider = self._shop()
        back = redirect_uri or self.redirect_uris[0]
        if back not in self.redirect_uris:
            raise rules.SsoRedirectInvalid
        attempt = Attempt.of(os.urandom(128))
        uri = await provider.authorization_uri(attempt, back, anew=anew)
        asked_s = self.clock().timestamp() if anew else None
        secrets = json.dumps([attempt.nonce, attempt.verifier, asked_s]).encode()
        sealed = self.sealer.seal(secrets, _attempt_place(attempt.state))
        await self.store.begin(attempt, sealed, back, self.clock() + rules.ATTEMPT_LIFETIME)
        return Begun(uri, attempt.binding)

    async def finish(self, answer: Answer, device: DeviceHint = NOWHERE) -> SignedIn:
        """Signs in whoever came back; the first time with a new account.

        Raises:
            SsoOff, SsoUnavailable, SsoStateInvalid, SsoRefused, SsoLinkNeeded
            Asked: he has a second factor, and is to prove himself by it as well.
        """
        who, tokens, proved_at = await self._identified(answer)
        # From here on a logout in the shop is about it, however long the rest takes.
        arrival = Arrival(self._shop().issuer, who.subject, who.sid, self.clock())
        link = await self.store.by_subject(self._shop().issuer, who.subject)
        if link is None:
            link = await self._registered(who)
        await self._keep(link.user_id, tokens)
        await self.sign_in.second_step.ask(link.user_id, FEDERATED, device, arrival.told)
        done = await self.opening(link.user_id, FEDERATED, device, arrival.told, proved_at)
        if done is None:
            raise rules.SsoStateInvalid
        return done

    async def link(self, user_id: uuid.UUID, answer: Answer) -> None:
        """Links an account to whoever came back; a repeat with the same changes nothing.

        Raises:
            SsoOff, SsoUnavailable, SsoStateInvalid, SsoRefused, SsoLinkTaken
        """
        who, tokens, _ = await self._identified(answer)
        link = Link(user_id, self._shop().issuer, who.subject, None)
        if not await self.store.link(link, self.clock()):
            found = await self.store.by_user(user_id)
            if found is None or (found.issuer, found.subject) != (link.issuer, link.subject):
                raise rules.SsoLinkTaken
        await self._keep(user_id, tokens)

    async def unlink(self, user_id: uuid.UUID) -> None:
        """Takes a link away; nothing where there is none.

        Raises:
            SsoOnlyWayIn
        """
        if await self.store.by_user(user_id) is None:
            return
        if not await self.store.has_password(user_id):
            raise rules.SsoOnlyWayIn
        await self.store.unlink(user_id)

    async def known(self, user_id: uuid.UUID) -> Known:
        """What the shop tells of a person now.

        Raises:
            SsoOff, SsoUnavailable, SsoNotLinked: not at all, or not any more.
        """
        provider = self._shop()
        link = await self.store.by_user(user_id)
        if link is None or link.issuer != provider.issuer:
            raise rules.SsoNotLinked
        try:
            told = await provider.userinfo(await self._access_token(provider, link))
        except rules.SsoRefused:
            raise rules.SsoNotLinked from None
        # Of the same person, or it is a mix-up (OpenID Connect Core §5.3.2).
        if told.get("sub") != link.subject:
            raise rules.SsoUnavailable("the shop told of somebody else")
        return _known(told)

    async def logout_uri(self, user_id: uuid.UUID) -> str:
        """Where a person ends the shop's session; empty where the shop offers nothing.

        Raises:
            SsoOff, SsoUnavailable, SsoNotLinked
        """
        provider = self._shop()
        link = await self.store.by_user(user_id)
        if link is None or link.issuer != provider.issuer:
            raise rules.SsoNotLinked
        return await provider.end_session_uri(self._opened(link).id_token)

    async def end_sessions(self, logout_token: str) -> None:
        """Ends what a logout token is about; a repeat ends nothing that began since.

        Raises:
            SsoOff, SsoUnavailable, SsoRefused
        """
        provider = self._shop()
        claims = await provider.claims(logout_token)
        told = rules.logged_out(claims, provider.issuer, provider.client_id, self.clock())
        # A token that comes again goes on where its first coming was cut, and no further.
        before = await self.store.logout_came(provider.issuer, told, self.clock())
        while found := await self.store.of_logout(provider.issuer, told, before):
            for user_id, session_id in found:
                await self.sessions.end(user_id, session_id, WHY)

    async def forget(self) -> None:
        """Drops what is over."""
        await self.store.forget(self.clock())

    def _shop(self) -> Provider:
        if self.provider is None:
            raise rules.SsoOff
        return self.provider

    async def _identified(self, answer: Answer) -> tuple[Identified, Tokens, datetime]:
        """Who came, what the shop gave, and when he proved himself there."""
        provider = self._shop()
        taken = await self.store.take(answer.state, answer.token, self.clock())
        if taken is None:
            raise rules.SsoStateInvalid
        sealed, redirect_uri = taken
        try:
            nonce, verifier, asked_s = json.loads(
                self.sealer.open(sealed, _attempt_place(answer.state))
            )
        except SealBroken:
            raise rules.SsoStateInvalid from None
        rules.check_issuer(answer.issuer, provider.issuer)
        tokens = await provider.exchange(answer.code, verifier, redirect_uri)
        claims = await provider.claims(tokens.id_token)
        now = self.clock()
        who = rules.identified(claims, provider.issuer, provider.client_id, nonce, now)
        asked_at = None if asked_s is None else datetime.fromtimestamp(asked_s, now.tzinfo)
        return who, tokens, rules.proved_at(who, asked_at, now)

    async def _registered(self, who: Identified) -> Link:
        if who.email and await self.has_account(who.email):
            # Never by itself: whose mail it is in the shop need not be whose account it is here.
            raise rules.SsoLinkNeeded
        issuer = self._shop().issuer
        link = Link(new_user_id(self.region), issuer, who.subject, None)
        name = self._name(who)
        event = events.user_registered(link.user_id, name)
        if await self.store.register(link, name, event, self.clock()):
            return link
        found = await self.store.by_subject(issuer, who.subject)
        if found is None:
            raise rules.SsoStateInvalid
        return found

    def _name(self, who: Identified) -> str:
        if self.data_in_shop or not who.name:
            return rules.NAMELESS
        try:
            return clean_display_name(who.name)
        except DisplayNameInvalid:
            return rules.NAMELESS

    async def _keep(self, user_id: uuid.UUID, tokens: Tokens) -> None:
        await self.store.keep_tokens(user_id, self._sealed(user_id, tokens, self.clock()))

    def _sealed(self, user_id: uuid.UUID, tokens: Tokens, now: datetime) -> bytes:
        until_s = now.timestamp() + tokens.expires_in_s
        told = [tokens.access_token, tokens.refresh_token, until_s, tokens.id_token]
        return self.sealer.seal(json.dumps(told).encode(), f"sso/links/{user_id}")

    async def _access_token(self, provider: Provider, link: Link) -> str:
        """The shop's access token, renewed by one caller at a time: renewal may end the old."""
        now = self.clock()
        held = self._opened(link)
        if now.timestamp() < held.until_s - EARLY_S or not held.refresh_token:
            return held.access_token
        until = now + timedelta(seconds=RENEWING_S)
        if not await self.store.claim(link.user_id, now, until):
            raise rules.SsoUnavailable("the tokens are being renewed")
        # Whoever claimed before may have renewed them meanwhile.
        again = await self.store.by_user(link.user_id)
        if again is None:
            raise rules.SsoNotLinked
        held = self._opened(again)
        if now.timestamp() < held.until_s - EARLY_S:
            await self.store.keep_tokens(link.user_id, again.tokens)
            return held.access_token
        tokens = await provider.refresh(held.refresh_token)
        kept = replace(
            tokens,
            refresh_token=tokens.refresh_token or held.refresh_token,
            # Of what the sign-in was, no renewal tells anew.
            id_token=held.id_token,
        )
        await self._keep(link.user_id, kept)
        return tokens.access_token

    def _opened(self, link: Link) -> Held:
        if link.tokens is None:
            raise rules.SsoNotLinked
        try:
            told = json.loads(self.sealer.open(link.tokens, f"sso/links/{link.user_id}"))
        except SealBroken:
            raise rules.SsoNotLinked from None
        # What was kept before there were ID tokens has three.
        access, refresh, until_s, *id_token = told
        return Held(str(access), str(refresh), float(until_s), str(id_token[0] if id_token else ""))


def _attempt_place(state: str) -> str:
    return f"sso/attempts/{rules.digest(state).hex()}"


def _known(told: Mapping[str, Any]) -> Known:
    def text(name: str) -> str:
        value = told.get(name, "")
        return value[:254] if isinstance(value, str) else ""

    verified = told.get("email_verified") is True
    return Known(text("name"), text("email"), verified, text("phone_number"))
