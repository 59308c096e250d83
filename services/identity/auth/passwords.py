"""Password hashing: argon2id in a bounded pool, so that logins cannot eat the loop.

Owns the threads, and how many may wait for them: beyond that, a caller is told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from mesh.runtime.errors import MeshError
from services.identity.auth.rules import normalized

# OWASP's argon2id parameters: 19 MiB, two passes, one lane.
_MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1
_THREADS = 2
MOST_WAITING = 100
"""At 45 ms each and two threads: nobody waits for more than what a call may last."""
RETRY_S = 2.0
# Of a password that nobody has: verified where there is no account, so that both take as long.
NOBODYS = (
    "$argon2id$v=19$m=19456,t=2,p=1$sbv5kjc6Z7iAR2FDQsqSLA"
    "$wTuLcOUO+7LlgwWE66QgzxbLfvtlrNifT6R5Sq55cpo"
)
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether a password is the one, and whether its hash should be made anew."""

    matches: bool
    is_stale: bool = False
    """The hash was made with other parameters, or of the password as it was typed."""


class Passwords:
    """Hashes and verifies passwords."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._hasher = PasswordHasher(_PASSES, _MEMORY_KIB, _LANES)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        # What is written in Python holds the interpreter: one such thread beside the loop.
        self._judging = ThreadPoolExecutor(1, thread_name_prefix="judging")
        self._waiting, self._most_waiting = 0, most_waiting

    async def hash(self, password: str) -> str:
        """The encoded argon2id hash.

        Raises:
            MeshError: OVERLOADED
        """
        return await self._run(self._pool, self._hasher.hash, normalized(password))

    async def verify(self, password_hash: str | None, password: str) -> Verified:
        """Whether the password is the one; does the same work where there is no hash.

        Raises:
            MeshError: OVERLOADED
        """
        kept = password_hash or NOBODYS
        matches = await self._run(self._pool, self._matches, kept, normalized(password))
        was_raw = False
        if not matches and normalized(password) != password:
            # Hashes of before passwords were normalized.
            matches = was_raw = await self._run(self._pool, self._matches, kept, password)
        if password_hash is None or not matches:
            return Verified(matches=False)
        return Verified(matches=True, is_stale=was_raw or self._hasher.check_needs_rehash(kept))

    async def judge(self, check: Callable[..., Done], *args: object) -> Done:
        """Looks at a password, which may take some milliseconds.

        Raises:
            MeshError: OVERLOADED
            whatever `check` raises
        """
        return await self._run(self._judging, check, *args)

    async def _run(
        self, pool: ThreadPoolExecutor, work: Callable[..., Done], *args: object
    ) -> Done:
        if self._waiting >= self._most_waiting:
            raise MeshError("OVERLOADED", retry_after_s=RETRY_S)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work, *args)
        finally:
            self._waiting -= 1

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
