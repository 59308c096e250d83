"""Use cases of another password: forgotten, or changed; and of an account that guesses shut.

Owns that nobody outside learns whether there is an account: each answer comes after the
same time, and says the same.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mesh.runtime.clock import Clock
from mesh.runtime.errors import MeshError
from mesh.runtime.sealing import Sealer
from services.identity.addresses import contacts
from services.identity.auth import rules
from services.identity.auth.passwords import Passwords
from services.identity.auth.store import Account, AuthStore, Found
from services.identity.auth.strength import Strength
from services.identity.codes import rules as codes
from services.identity.codes.rules import Guess, Purpose
from services.identity.codes.store import CodeStore, values_of
from services.identity.profiles.rules import UserNotFound
from services.identity.sessions.flow import SessionFlow
from services.identity.throttle.flow import Throttle

ALIKE_S = 0.4
"""No answer about an address comes sooner: longer than any of the ways there takes."""
TakenOver = Callable[[uuid.UUID], Awaitable[None]]
"""Takes away what somebody put into an account whose address was never his."""


@dataclass(frozen=True, slots=True)
class RecoveryFlow:
    """Passwords set anew."""

    store: AuthStore
    codes: CodeStore
    passwords: Passwords
    strength: Strength
    throttle: Throttle
    sessions: SessionFlow
    sealer: Sealer
    clock: Clock
    taken_over: Sequence[TakenOver] = ()
    alike_s: float = ALIKE_S

    async def request_reset(self, email: str, phone: str) -> None:
        """A code to an address that finds an account; nothing else; never says which."""
        async with self._alike():
            contact = contacts.sought(email, phone)
            await self.store.ask_code(contact.key, Purpose.RESET_PASSWORD, self.clock())

    async def reset(self, email: str, phone: str, code: str, new_password: str) -> None:
        """Sets another password by a code; ends every session.

        Raises:
            PasswordWeak, CodeWrong
        """
        async with self._alike():
            contact = contacts.sought(email, phone)
            password_hash = await self._hashed(new_password, contact.address)
            found = await self.store.found(contact.key)
            shown, guess = await self._guess(found, Purpose.RESET_PASSWORD, code)
            if found is None or not guess.is_right:
                raise codes.CodeWrong
            if guess.was_used:
                await self._repeated(contact.key, new_password)
                return
            # Ended before as well as after: killed in between, nobody stays signed in who
            # knew the former password.
            await self.sessions.end_all(found.user_id, "password reset")
            if not found.is_verified:
                for take_away in self.taken_over:
                    await take_away(found.user_id)
            if not await self.store.reset_password(found, shown, password_hash, self.clock()):
                # Its twin was faster: what it did is what was asked, if it asked the same.
                await self._repeated(contact.key, new_password)
                return
            await self.sessions.end_all(found.user_id, "password reset")
            await self.throttle.forgive(contact.key)

    async def _repeated(self, address_key: str, new_password: str) -> None:
        found = await self.store.found(address_key)
        verified = await self.passwords.verify(found.password_hash if found else None, new_password)
        if found is None or not verified.matches:
            raise codes.CodeWrong
        await self.sessions.end_all(found.user_id, "password reset")

    async def unlock(self, email: str, phone: str, code: str) -> None:
        """Forgives the wrong tries at an account, by the code that was sent because of them.

        Raises:
            CodeWrong
        """
        async with self._alike():
            contact = contacts.sought(email, phone)
            found = await self.store.found(contact.key)
            shown, guess = await self._guess(found, Purpose.UNLOCK_ACCOUNT, code)
            if not guess.is_right:
                raise codes.CodeWrong
            if guess.was_used or not await self.store.use(shown):
                return
            await self.throttle.forgive(contact.key)

    async def change(
        self,
        user_id: uuid.UUID,
        session_id: uuid.UUID,
        current_password: str,
        new_password: str,
        *,
        auth_age_s: float,
    ) -> None:
        """Changes the password; ends every other session.

        Without the current one the sign-in must be fresh: `auth_age_s` is its age.

        Raises:
            UserNotFound, PasswordWrong, PasswordWeak, SignInThrottled
            MeshError: SIGN_IN_TOO_OLD
        """
        account = await self.store.account(user_id)
        if account is None:
            raise UserNotFound
        if current_password:
            if not await self._knows(account, current_password, new_password):
                return
        elif auth_age_s > rules.FRESH_SIGN_IN.total_seconds():
            raise MeshError("SIGN_IN_TOO_OLD")
        password_hash = await self._hashed(new_password, "", "new_password")
        why = "password changed"
        await self.sessions.end_all(user_id, why, except_session=session_id)
        if await self.store.change_password(account, password_hash, self.clock()):
            await self.sessions.end_all(user_id, why, except_session=session_id)
            return
        now = await self.store.account(user_id)
        verified = await self.passwords.verify(now.password_hash if now else None, new_password)
        if not verified.matches:
            raise rules.PasswordWrong("it was changed just now")

    async def knows(self, user_id: uuid.UUID, password: str) -> None:
        """Goes on where the password is the person's.

        Raises:
            UserNotFound, PasswordWrong, SignInThrottled
        """
        account = await self.store.account(user_id)
        if account is None:
            raise UserNotFound
        async with self.throttle.one_try(f"users/{user_id}", "", None, "") as tried:
            if not (await self.passwords.verify(account.password_hash, password)).matches:
                tried.failed()
                raise rules.PasswordWrong
            tried.succeeded()

    async def _knows(self, account: Account, current: str, new: str) -> bool:
        """Whether the password is to be changed; not where it has been, by the same call.

        Raises:
            PasswordWrong, SignInThrottled
        """
        async with self.throttle.one_try(f"users/{account.user_id}", "", None, "") as tried:
            # As it is now: the same call may have been faster.
            account = await self.store.account(account.user_id) or account
            if (await self.passwords.verify(account.password_hash, current)).matches:
                tried.succeeded()
                return current != new
            if (await self.passwords.verify(account.password_hash, new)).matches:
                tried.succeeded()
                return False
            tried.failed()
            raise rules.PasswordWrong

    async def _hashed(self, password: str, address: str, field: str = "new_password") -> str:
        """The hash of a password that may be used.

        Raises:
            PasswordWeak
        """
        try:
            rules.check_password(password, address, "")
            await self.passwords.judge(
                self.strength.check, password, [address, *address.split("@")]
            )
        except rules.PasswordWeak as weak:
            raise rules.PasswordWeak(str(weak), field) from None
        return await self.passwords.hash(password)

    async def _guess(
        self, found: Found | None, purpose: Purpose, code: str
    ) -> tuple[dict[str, object], Guess]:
        """What a code turns out to be; where there is nobody, the same is asked of nobody."""
        user_id = found.user_id if found else uuid.UUID(int=0)
        address_id = found.address_id if found else uuid.UUID(int=0)
        place = codes.place_of(user_id, purpose, address_id)
        hashes = self.sealer.hashes(codes.cleaned(code).encode(), place)
        shown = values_of(user_id, purpose, address_id, hashes, self.clock())
        return shown, await self.codes.guess(shown)

    @asynccontextmanager
    async def _alike(self) -> AsyncIterator[None]:
        """Ends no sooner than the longest way would."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.alike_s
        try:
            yield
        finally:
            await asyncio.sleep(max(0.0, ends - loop.time()))
