"""Staying signed in.

Decides when an access token is renewed, and that one refresh serves all who
wait for it. Never decides which calls need a token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from palestra_client._errors import DeadlineExceeded, Unauthenticated, Unavailable
from palestra_client._kept import Kept
from palestra_client._tokens import Tokens, TokenStore

EARLY_S = 30.0
"""A token is renewed so long before it expires, or at half of its life if that is shorter."""

_AGAIN_AFTER_S = (0.1, 0.5)

Refresh = Callable[[str], Awaitable[Tokens]]
"""Changes a refresh token for a new sign-in (its `user` may be empty)."""
Confirm = Callable[[str], Awaitable[tuple[str, float]]]
"""Changes an access token for a fresh one, and tells when that ends, in s since 1970."""


class SignIn:
    """One person's sign-in, renewed as it is used."""

    def __init__(
        self, store: TokenStore, refresh: Refresh, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._refresh = refresh
        self._clock = clock
        self._early_s = EARLY_S
        self._renewal: asyncio.Task[Tokens] | None = None

    @property
    def user(self) -> str:
        """`users/{user}`; empty where nobody is signed in."""
        tokens = self._store.load()
        return tokens.user if tokens else ""

    @property
    def store(self) -> TokenStore:
        """Where it is kept."""
        return self._store

    def begin(self, tokens: Tokens) -> None:
        """Keeps a fresh sign-in."""
        if tokens.user != self.user:
            self._store.change_kept(Kept.without_changes)
        self._early_s = min(EARLY_S, max(0.0, (tokens.expire_time_s - self._clock()) / 2))
        self._store.save(tokens)

    def end(self) -> Tokens | None:
        """Forgets the sign-in; answers with what there was."""
        tokens = self._store.load()
        self._store.save(None)
        self._store.change_kept(Kept.without_changes)
        return tokens

    async def access_token(self, early_s: float | None = None) -> str:
        """A token that lives longer than `early_s`; empty where nobody is signed in."""
        tokens = self._store.load()
        if tokens is None:
            return ""
        margin_s = self._early_s if early_s is None else early_s
        ends = tokens.expire_time_s and self._clock() >= tokens.expire_time_s - margin_s
        if ends and tokens.refresh_token:
            return await self.renewed(tokens.access_token)
        return tokens.access_token

    async def renewed(self, stale: str) -> str:
        """Another access token than `stale`.

        Raises:
            Unauthenticated: there is nothing to renew it with, or the server refused.
            Unavailable, DeadlineExceeded: the server could not be reached.
        """
        tokens = self._store.load()
        if tokens is not None and tokens.access_token != stale:
            return tokens.access_token
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew(stale))
        # Shielded: one caller's cancellation must not cost the others the single-use token.
        return (await asyncio.shield(self._renewal)).access_token

    async def _renew(self, stale: str) -> Tokens:
        async with self._store.exclusive():
            held = self._store.load()
            if held is not None and held.access_token != stale:
                return held  # another process was quicker
            if held is None or not held.refresh_token:
                raise Unauthenticated("The sign-in has ended. Sign in again.")
            try:
                fresh = await self._refreshed(held.refresh_token)
            except Unauthenticated:
                self._store.save(None)
                raise
            if self._store.load() is None:
                raise Unauthenticated("Signed out meanwhile. Sign in again.")
            user = fresh.user or held.user
            whole = Tokens(user, fresh.access_token, fresh.refresh_token, fresh.expire_time_s)
            self.begin(whole)
            return whole

    async def _refreshed(self, refresh_token: str) -> Tokens:
        # An answer that was lost is given again for some seconds only: ask at once.
        for pause_s in _AGAIN_AFTER_S:
            try:
                return await self._refresh(refresh_token)
            except (Unavailable, DeadlineExceeded):
                await asyncio.sleep(pause_s)
        return await self._refresh(refresh_token)

    async def confirm(self, confirm: Confirm) -> None:
        """Changes the access token for one that says that the person was just there.

        Nobody refreshes meanwhile, in whatever process, so that no refresh token is lost.

        Raises:
            Unauthenticated: nobody is signed in.
            whatever `confirm` raises
        """
        await self.access_token()
        async with self._store.exclusive():
            held = self._store.load()
            if held is None:
                raise Unauthenticated("Sign in first.")
            access_token, expire_time_s = await confirm(held.access_token)
            fresh = replace(held, access_token=access_token, expire_time_s=expire_time_s)
            if self._store.load() is not None:
                self._store.save(fresh)
