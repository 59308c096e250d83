"""Use cases of authorisation in a browser: what a request leads to, and the person's answer."""

from __future__ import annotations

import enum
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from services.identity.clients.flow import ClientFlow
from services.identity.clients.rules import redirects
from services.identity.clients.rules.clients import Client
from services.identity.oauth import veil
from services.identity.oauth.rules import codes, requests
from services.identity.oauth.rules.codes import Browser, Grant, Ticket
from services.identity.oauth.rules.errors import BrowserSignedOut, RequestRefused, SentBack
from services.identity.oauth.rules.requests import Asked, Pairs
from services.identity.oauth.store import FORGET_AT_ONCE, OAuthStore
from services.identity.oauth.veil import Veil
from services.identity.sessions.flow import SessionFlow, SignedIn

MOST_FORGETTINGS = 100


class Step(enum.IntEnum):
    """What to do with a request; the contract's numbers."""

    REFUSE = 1
    REDIRECT = 2
    SIGN_IN = 3
    CONSENT = 4
    GRANTED = 5


class Decision(enum.IntEnum):
    """What a person answered; the contract's numbers."""

    ALLOW = 1
    DENY = 2
    AS_BEFORE = 3


@dataclass(frozen=True, slots=True)
class Described:
    """What a request leads to."""

    step: Step
    client: Client | None = None
    return_origin: str = ""
    scopes: Sequence[str] = ()
    redirect_uri: str = ""
    refusal: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class OAuthFlow:
    """The authorisation endpoint."""

    store: OAuthStore
    clients: ClientFlow
    sessions: SessionFlow
    issuer: str
    veil: Veil
    clock: Clock

    async def describe(self, pairs: Pairs, cookie: str) -> Described:
        """What a request leads to; changes nothing."""
        client = None
        try:
            client, uri = await self._way_back(pairs)
        except RequestRefused as refused:
            return Described(Step.REFUSE, refusal=str(refused))
        told = Described(Step.CONSENT, client, redirects.origin(uri))
        try:
            asked = requests.asked(pairs, client, uri)
            return await self._next(asked, cookie, replace(told, scopes=asked.scopes))
        except SentBack as error:
            return replace(told, step=Step.REDIRECT, redirect_uri=self._error(uri, pairs, error))

    async def _next(self, asked: Asked, cookie: str, told: Described) -> Described:
        try:
            browser = await self.browser(cookie)
            if "login" in asked.prompts or not asked.is_fresh(browser.proved_at, self.clock()):
                raise BrowserSignedOut
        except BrowserSignedOut:
            if "none" in asked.prompts:
                raise SentBack("login_required", "the person is not signed in") from None
            return replace(told, step=Step.SIGN_IN)
        told = replace(told, person=browser.display_name)
        if await self._agreed_before(asked, browser):
            return replace(told, step=Step.GRANTED)
        if "none" in asked.prompts:
            raise SentBack("consent_required", "the person has not agreed to this")
        # What is new is agreed to by who is there now, not by who was a week ago.
        fresh = self.clock() - browser.proved_at <= codes.CONSENT_FRESH
        return told if fresh else replace(told, step=Step.SIGN_IN)

    async def decide(self, pairs: Pairs, cookie: str, decision: Decision) -> str:
        """The way back with what the person answered.

        Raises:
            RequestRefused: nobody may be sent anywhere.
            BrowserSignedOut: whoever answers is not signed in.
        """
        client, uri = await self._way_back(pairs)
        try:
            asked = requests.asked(pairs, client, uri)
            browser = await self.browser(cookie)
            if not asked.is_fresh(browser.proved_at, self.clock()):
                raise BrowserSignedOut
            if decision is Decision.DENY:
                raise SentBack("access_denied", "the person did not agree")
            if decision is Decision.AS_BEFORE and not await self._agreed_before(asked, browser):
                raise SentBack("consent_required", "the person has not agreed to this")
            late = self.clock() - browser.proved_at > codes.CONSENT_FRESH + codes.READING
            if decision is Decision.ALLOW and late:
                raise BrowserSignedOut
            return await self._code(asked, browser)
        except SentBack as error:
            return self._error(uri, pairs, error)

    async def _code(self, asked: Asked, browser: Browser) -> str:
        now = self.clock()
        ticket = Ticket(browser.user_id, uuid7(), os.urandom(codes.SECRET_BYTES))
        code = codes.new_code(asked, browser, ticket, now)
        old, stale = now - codes.CODE_REMEMBERED, now - codes.CODE_LIFETIME
        if not await self.store.agree(code, old, stale):
            raise SentBack("access_denied", "there are too many apps, or too many codes under way")
        text = self.veil.over(ticket.text, veil.CODE, asked.scopes)
        return requests.back(asked.redirect_uri, self.issuer, asked.state, code=text)

    async def signed_in(self, done: SignedIn, before: str = "") -> str:
        """The cookie of a browser in which a person has just signed in.

        What the cookie of `before` was of ends: a browser has one sign-in.
        """
        now = self.clock()
        ticket = Ticket(done.user_id, done.session_id, os.urandom(codes.SECRET_BYTES))
        expires = now + codes.BROWSER_LIFETIME
        browser = Browser(ticket.user_id, ticket.id, ticket.hash, (), now, expires)
        await self.store.add_browser(browser, now)
        await self.sign_out(before)
        return ticket.text

    async def sign_out(self, cookie: str) -> None:
        """Signs a browser out; silent where it is not in."""
        try:
            browser = await self.browser(cookie)
        except BrowserSignedOut:
            return
        await self.sessions.end(browser.user_id, browser.session_id, "signed out")
        await self.store.drop_browser(browser.user_id, browser.session_id)

    async def browser(self, cookie: str) -> Browser:
        """The browser that a cookie is of.

        Raises:
            BrowserSignedOut: it is none's, or its session has ended.
        """
        ticket = Ticket.parse(cookie)
        if ticket is None:
            raise BrowserSignedOut
        found = await self.store.browser(ticket.user_id, ticket.id)
        return codes.check_browser(found, ticket, self.clock())

    async def grants(self, user_id: uuid.UUID) -> list[Grant]:
        """What a person lets apps do."""
        return await self.store.grants(user_id, self.clock())

    async def revoke(self, user_id: uuid.UUID, client_id: uuid.UUID) -> None:
        """Takes a grant back, and with it what the app was given; a repeat does it again."""
        await self.store.drop_grant(user_id, client_id)
        await self.sessions.end_client(str(client_id), "grant taken back", user_id)

    async def forget(self) -> None:
        """Drops codes and browsers that are over."""
        now = self.clock()
        for _ in range(MOST_FORGETTINGS):
            if await self.store.forget(now - codes.CODE_REMEMBERED, now) < FORGET_AT_ONCE:
                break
        for _ in range(MOST_FORGETTINGS):
            before = now - codes.ENDED_GRANTS_KEPT
            if await self.store.forget_grants(before) < FORGET_AT_ONCE:
                return

    async def _agreed_before(self, asked: Asked, browser: Browser) -> bool:
        # Where he is to choose an account he is shown which one it is.
        if asked.prompts & {"consent", "select_account"} or not asked.may_be_remembered:
            return False
        granted = await self.store.granted(browser.user_id, asked.client.client_id)
        return granted.issuperset(asked.scopes)

    async def _way_back(self, pairs: Pairs) -> tuple[Client, str]:
        client = await self.clients.store.client(requests.client_id(pairs), self.clock())
        uri = requests.way_back(pairs, client)
        if client is None:
            raise RequestRefused("client_id is not one of ours")
        return client, uri

    def _error(self, uri: str, pairs: Pairs, error: SentBack) -> str:
        return requests.back(
            uri,
            self.issuer,
            requests.state(pairs),
            error=error.error,
            error_description=str(error),
        )
