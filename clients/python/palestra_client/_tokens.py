"""Where a sign-in is kept.

Owns the tokens' shape, the file and its lock. A token file holds secrets: it is
0600 and replaced as a whole. Never talks to the server.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from palestra_client._kept import Kept

_MAX_FILE_BYTES = 65_536
_LOCK_ATTEMPTS = 400
_LOCK_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True, repr=False)
class Tokens:
    """A sign-in."""

    user: str
    """`users/{user}`; empty where it is not known."""
    access_token: str
    refresh_token: str
    """Serves once; empty where there is none."""
    expire_time_s: float
    """When the access token ends, in s since 1970; 0 where it is not known."""

    def __repr__(self) -> str:
        return f"Tokens(user={self.user!r}, expire_time_s={self.expire_time_s})"


class TokenStore(Protocol):
    """Keeps a sign-in between calls, and between processes where it can."""

    def load(self) -> Tokens | None:
        """The sign-in; None where there is none."""
        ...

    def save(self, tokens: Tokens | None) -> None:
        """Keeps a sign-in, durably before it returns; None forgets it."""
        ...

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Held while a refresh token is used: each serves once."""
        ...

    def kept(self) -> Kept:
        """What is kept beside the sign-in."""
        ...

    def change_kept(self, change: Callable[[Kept], Kept]) -> None:
        """Changes what is kept; changes made at once, by several processes, all count."""
        ...


class MemoryTokenStore:
    """Keeps a sign-in as long as the process lives."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens
        self._kept = Kept()
        self._lock = asyncio.Lock()

    def load(self) -> Tokens | None:
        """The sign-in; None where there is none."""
        return self._tokens

    def save(self, tokens: Tokens | None) -> None:
        """Keeps a sign-in; None forgets it."""
        self._tokens = tokens

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """One task at a time."""
        return self._lock

    def kept(self) -> Kept:
        """What is kept beside the sign-in."""
        return self._kept

    def change_kept(self, change: Callable[[Kept], Kept]) -> None:
        """Changes what is kept."""
        self._kept = change(self._kept)


class FileTokenStore:
    """Keeps a sign-in in a file that several processes may share."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def load(self) -> Tokens | None:
        """The sign-in; None where there is no file.

        Raises:
            ValueError: the file is not a token file.
        """
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_FILE_BYTES)
        except FileNotFoundError:
            return None
        try:
            told = json.loads(content)
            return Tokens(
                str(told["user"]),
                str(told["access_token"]),
                str(told["refresh_token"]),
                float(told["expire_time_s"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._path} is not a token file") from error

    def save(self, tokens: Tokens | None) -> None:
        """Replaces the file as a whole, or removes it."""
        if tokens is None:
            self._path.unlink(missing_ok=True)
            return
        _replace(self._path, asdict(tokens))

    def kept(self) -> Kept:
        """What is kept beside the sign-in, in a file of its own; nothing where it is damaged."""
        try:
            with self._kept_path.open("rb") as file:
                told = json.loads(file.read(_MAX_FILE_BYTES))
            devices = {str(key): str(value) for key, value in told["devices"].items()}
            return Kept(devices, tuple(str(each) for each in told["consistency"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Kept()

    def change_kept(self, change: Callable[[Kept], Kept]) -> None:
        """Changes what is kept; for a moment no other process does."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._path.with_name(f".{self._path.name}.kept.lock")
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            before = self.kept()
            after = change(before)
            if after != before:
                _replace(self._kept_path, asdict(after))
        finally:
            os.close(handle)

    @property
    def _kept_path(self) -> Path:
        return self._path.with_name(f".{self._path.name}.kept")

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """One process at a time; a lock file beside the token file says whose turn it is.

        Raises:
            TimeoutError: another process kept the lock for 20 s.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._path.with_name(f".{self._path.name}.lock")
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            await _take(handle, lock)
            yield
        finally:
            os.close(handle)


def _replace(path: Path, told: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Each writer has a file of its own: threads of one process write at once too.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    fresh = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


async def _take(handle: int, lock: Path) -> None:
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_LOCK_PAUSE_S)
        else:
            return
    raise TimeoutError(f"another process holds {lock}")


def claims_of(access_token: str) -> dict[str, object]:
    """What a token says of itself, unverified: good for planning, never for trust.

    Empty where it is no JWT.
    """
    parts = access_token.split(".")
    if len(parts) != 3:
        return {}
    try:
        told = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return told if isinstance(told, dict) else {}


def tokens_of(access_token: str, refresh_token: str = "") -> Tokens:
    """A sign-in from bare tokens; user and expiry as the access token says."""
    claims = claims_of(access_token)
    subject, expiry = claims.get("sub"), claims.get("exp")
    return Tokens(
        f"users/{subject}" if isinstance(subject, str) else "",
        access_token,
        refresh_token,
        float(expiry) if isinstance(expiry, int | float) else 0.0,
    )
