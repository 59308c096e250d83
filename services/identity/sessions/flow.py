"""Use cases of staying signed in: opened by whoever proved a person, moved on, ended."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import datetime

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from services.identity.keys.flow import KeyRing
from services.identity.revocations.flow import until
from services.identity.sessions import rules, tokens
from services.identity.sessions.chains import Chains
from services.identity.sessions.rules import FIRST_PARTY, NOWHERE, DeviceHint
from services.identity.sessions.store import SessionStore

SEARCHES = 3
NEWEST = uuid.UUID(int=(1 << 128) - 1)
AT_ONCE = 500
"""Sessions of a client that are looked up together."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a client needs to speak for a person."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    access_token: str
    refresh_token: str
    expires_in_s: int
    wants_factor: bool = False
    """Whether he has a role that is not at work for want of a second factor."""


@dataclass(frozen=True, slots=True)
class SessionFlow:
    """Opens sessions, moves them on, ends them."""

    store: SessionStore
    keys: KeyRing
    scopes: frozenset[str]
    """All that the product's own apps may."""
    access_token_s: int
    clock: Clock
    chains: Chains

    async def open(
        self,
        user_id: uuid.UUID,
        *,
        amr: frozenset[str],
        client_id: str = FIRST_PARTY,
        scopes: frozenset[str] | None = None,
        device: DeviceHint = NOWHERE,
        proved_at: datetime | None = None,
        session_id: uuid.UUID | None = None,
    ) -> SignedIn:
        """Signs a person in who proved himself just now, or at `proved_at`, by `amr` (RFC 8176).

        `session_id` is a fresh one of whoever must know it before; None makes one.
        `scopes` None is all that the product's own apps may. A second factor among the proofs
        is told by `mfa`: without it no role is in a token.

        Raises:
            AccountBlocked: he may not sign in.
        """
        now = self.clock()
        opening = rules.Opening(user_id, amr, client_id, scopes, device, proved_at)
        session_id = session_id or uuid7()
        chain_key = self.chains.of(user_id, session_id)[0]
        session, token = rules.open_session(opening, session_id, chain_key, os.urandom(32), now)
        session = await self.store.open(session, self._until(now))
        return await self._signed_in(session, token)

    async def refresh(
        self, refresh_token: str, device: DeviceHint = NOWHERE, client_id: str = FIRST_PARTY
    ) -> SignedIn:
        """Moves a session of the client's on by one token; another client's is none.

        Raises:
            RefreshTokenInvalid, RefreshTokenReused: the latter ends the session.
            AccountBlocked: the person may not be signed in now.
        """
        shown = rules.RefreshToken.parse(refresh_token)
        chain = self.chains.of(shown.user_id, shown.session_id)
        if not rules.is_of_chain(shown, chain, None):
            await self._is_old(shown, chain)
        token = shown.successor(chain[0])
        for _ in range(SEARCHES):
            now = self.clock()
            session = await self.store.rotate(shown, token.hash, client_id, device, now)
            if session is not None:
                return await self._signed_in(session, token)
            again = await self._again(shown, chain, client_id, now)
            if again is not None:
                return again
        raise rules.RefreshTokenInvalid

    async def _is_old(self, shown: rules.RefreshToken, chain: tuple[bytes, ...]) -> None:
        """Only tokens from before chains were derived need their session to be told."""
        session = await self.store.session(shown.user_id, shown.session_id, self.clock())
        if session is None or not rules.is_of_chain(shown, chain, session):
            raise rules.RefreshTokenInvalid

    async def _again(
        self, shown: rules.RefreshToken, chain: tuple[bytes, ...], client_id: str, now: datetime
    ) -> SignedIn | None:
        """What a token gets that did not move its session on; None: it may try again."""
        session = await self.store.session(shown.user_id, shown.session_id, now)
        if session is not None and session.client_id != client_id:
            raise rules.RefreshTokenInvalid
        try:
            token = rules.rotate(session, shown, chain, now)
        except rules.RefreshTokenReused:
            await self.end(shown.user_id, shown.session_id, "refresh token reused")
            raise
        if session is None or session.token_hash == shown.hash:
            return None
        return await self._signed_in(session, token)

    async def logout(self, refresh_token: str, client_id: str = FIRST_PARTY) -> None:
        """Ends the client's session of a token; silent where there is none: it can be repeated."""
        try:
            shown = rules.RefreshToken.parse(refresh_token)
        except rules.RefreshTokenInvalid:
            return
        session = await self.store.session(shown.user_id, shown.session_id, self.clock())
        if session is None or session.client_id != client_id:
            return
        if self.is_of(shown, session):
            await self.end(shown.user_id, shown.session_id, "signed out")

    def is_of(self, shown: rules.RefreshToken, session: rules.Session) -> bool:
        """Whether the token ever was one of the session's."""
        chain = self.chains.of(session.user_id, session.session_id)
        return rules.is_of_chain(shown, chain, session)

    async def living(
        self, user_id: uuid.UUID, before: uuid.UUID | None, most: int
    ) -> list[rules.Session]:
        """The person's sessions, the newest first; from before one where it is said."""
        return await self.store.living(user_id, before or NEWEST, self.clock(), most)

    async def end(self, user_id: uuid.UUID, session_id: uuid.UUID, why: str) -> bool:
        """Ends a session, in seconds everywhere; false where it has ended already.

        `why` holds nothing personal.
        """
        now = self.clock()
        return await self.store.end(user_id, session_id, why, now, self._until(now))

    async def end_all(
        self, user_id: uuid.UUID, why: str, except_session: uuid.UUID | None = None
    ) -> int:
        """Ends every session of a person, or every other one; answers how many."""
        now = self.clock()
        return await self.store.end_all(user_id, why, now, self._until(now), except_session)

    async def end_client(self, client_id: str, why: str, user_id: uuid.UUID | None = None) -> None:
        """Ends the sessions that an app of others was given, by one person or by all."""
        while found := await self.store.of_client(client_id, user_id, AT_ONCE):
            for owner, session_id in found:
                await self.end(owner, session_id, why)

    async def proved(self, user_id: uuid.UUID, session_id: uuid.UUID, amr: frozenset[str]) -> None:
        """The person proved himself again: the session's next tokens say so.

        Raises:
            RefreshTokenInvalid: the session has ended meanwhile.
        """
        if not await self.store.proved(user_id, session_id, amr, self.clock()):
            raise rules.RefreshTokenInvalid

    def _until(self, now: datetime) -> datetime:
        return until(now, self.access_token_s)

    async def access_token(self, user_id: uuid.UUID, session_id: uuid.UUID) -> tuple[str, int]:
        """A fresh access token of a live session, and the seconds that it lives.

        Raises:
            RefreshTokenInvalid: the session has ended.
        """
        session = await self.store.session(user_id, session_id, self.clock())
        if session is None or session.ended:
            raise rules.RefreshTokenInvalid
        return await self._minted(session)

    async def _signed_in(self, session: rules.Session, token: rules.RefreshToken) -> SignedIn:
        access_token, lives_s = await self._minted(session)
        return SignedIn(
            session.user_id,
            session.session_id,
            access_token,
            token.text,
            lives_s,
            session.wants_factor(self.clock()),
        )

    async def _minted(self, session: rules.Session) -> tuple[str, int]:
        now = self.clock()
        key = await self.keys.signer(now)
        scopes = self.scopes if session.scopes is None else frozenset(session.scopes)
        return tokens.mint(key, session, scopes, now, self.access_token_s)
