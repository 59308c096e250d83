"""Password hashing: argon2id in a bounded pool, so that logins cannot eat the loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

# OWASP's argon2id parameters: 19 MiB, two passes, one lane.
_MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1
_THREADS = 2


class Passwords:
    """Hashes and verifies passwords."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(_PASSES, _MEMORY_KIB, _LANES)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        # What is verified where there is no account, so that both take as long.
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The encoded argon2id hash."""
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, self._hasher.hash, password
        )

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the one; takes as long where there is no hash."""
        if password_hash is None:
            if self._nobody is None:
                self._nobody = await self.hash("nobody's password")
            await self._compare(self._nobody, password)
            return False
        return await self._compare(password_hash, password)

    async def _compare(self, password_hash: str, password: str) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._matches, password_hash, password)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
