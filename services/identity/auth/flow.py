"""Use cases of signing in: load, decide, save, tell."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from mesh.runtime.clock import Clock
from mesh.runtime.ids import user_id as new_user_id
from mesh.runtime.ids import uuid7
from services.identity import events
from services.identity.auth import rules, tokens
from services.identity.auth.passwords import Passwords
from services.identity.auth.store import AuthStore, NewAccount
from services.identity.keys.flow import KeyRing
from services.identity.profiles.rules import clean_display_name

SEARCHES = 3


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a client needs to speak for a person."""

    user_id: uuid.UUID
    access_token: str
    refresh_token: str
    expires_in_s: int


@dataclass(frozen=True, slots=True)
class AuthFlow:
    """Sign-up, sign-in, refresh, sign-out."""

    store: AuthStore
    passwords: Passwords
    keys: KeyRing
    scopes: frozenset[str]
    region: int
    access_token_s: int
    clock: Clock

    async def register(self, email: str, password: str, display_name: str) -> SignedIn:
        """Makes an account and signs it in; with the same password again, signs in.

        Raises:
            EmailInvalid, PasswordWeak, DisplayNameInvalid, EmailTaken
        """
        address = _address(email)
        name = clean_display_name(display_name)
        rules.check_password(password, address, name)
        account = NewAccount(
            user_id=new_user_id(self.region),
            email=address,
            email_key=_email_key(address),
            password_hash=await self.passwords.hash(password),
            display_name=name,
        )
        session, token = self._open(account.user_id)
        try:
            await self.store.register(
                account, session, events.user_registered(account.user_id, name)
            )
        except rules.EmailTaken:
            return await self._sign_in_again(account.email_key, password)
        return await self._signed_in(session, token)

    async def _sign_in_again(self, email_key: str, password: str) -> SignedIn:
        # The repeat of a registration whose answer was lost.
        try:
            return await self.login(email_key, password)
        except rules.CredentialsWrong:
            raise rules.EmailTaken from None

    async def login(self, email: str, password: str) -> SignedIn:
        """Signs in.

        Raises:
            CredentialsWrong: whether or not there is such an account, after the same time.
        """
        account = await self.store.account(_email_key(email))
        matches = await self.passwords.verify(account.password_hash if account else None, password)
        if account is None or not matches:
            raise rules.CredentialsWrong
        session, token = self._open(account.user_id)
        await self.store.open_session(session)
        return await self._signed_in(session, token)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Moves a session on by one token.

        Raises:
            RefreshTokenInvalid, RefreshTokenReused: the latter ends the session.
        """
        shown = rules.RefreshToken.parse(refresh_token)
        for _ in range(SEARCHES):
            now = self.clock()
            session = await self.store.session(shown.user_id, shown.session_id)
            try:
                token = rules.rotate(session, shown, now)
            except rules.RefreshTokenReused:
                await self.store.end(shown.user_id, shown.session_id, "refresh token reused")
                raise
            if session is None:
                break
            if session.token_hash != shown.hash:
                return await self._signed_in(session, token)
            if await self.store.rotate(session, shown.hash, token.hash, now):
                return await self._signed_in(session, token)
            # Another call rotated between our look and our change: look again.
        raise rules.RefreshTokenInvalid

    async def logout(self, refresh_token: str) -> None:
        """Ends the session of a token; silent where there is none, so it can be repeated."""
        try:
            shown = rules.RefreshToken.parse(refresh_token)
        except rules.RefreshTokenInvalid:
            return
        session = await self.store.session(shown.user_id, shown.session_id)
        if session is not None and shown.is_of(session.chain_key):
            await self.store.end(shown.user_id, shown.session_id, "signed out")

    def _open(self, user_id: uuid.UUID) -> tuple[rules.Session, rules.RefreshToken]:
        return rules.open_session(user_id, uuid7(), os.urandom(64), self.clock())

    async def _signed_in(self, session: rules.Session, token: rules.RefreshToken) -> SignedIn:
        now = self.clock()
        access_token = tokens.mint(
            await self.keys.signer(now),
            session.user_id,
            session.session_id,
            self.scopes,
            session.created_at,
            now,
            self.access_token_s,
        )
        return SignedIn(session.user_id, access_token, token.text, self.access_token_s)


def _email_key(email: str) -> str:
    """The address as it is compared: however it was typed, the same as at sign-up."""
    try:
        return _address(email).casefold()
    except rules.EmailInvalid:
        return email.strip().casefold()


def _address(email: str) -> str:
    try:
        found = validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise rules.EmailInvalid(str(error)) from None
    return found.normalized
