"""People of identity and what services keep of them, told by the test: for exports and erasures.

Services are stand-ins that say what they are told to, may be away, and count; the store of
rows is the real one. `Fuse` ends a process at any of its steps: whatever it touches next
fails as if it were not there any more.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from mesh.runtime.errors import Unavailable
from mesh.runtime.ids import user_id
from mesh.runtime.subjects import Erased, Piece


class Killed(BaseException):
    """The process is gone: nothing catches it."""


@dataclass
class Fuse:
    """Ends a process when so many steps were done."""

    left: int = -1

    def burn(self) -> None:
        """One step."""
        if self.left == 0:
            raise Killed
        self.left -= 1


class Burning:
    """Something whose every async method is a step of a process."""

    def __init__(self, what: Any, fuse: Fuse) -> None:
        self._what = what
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._what, name)
        if name.startswith("_") or not callable(found):
            return found

        async def step(*args: Any, **more: Any) -> Any:
            # Killed before it, or after it and before anybody heard of it.
            self._fuse.burn()
            answer = await found(*args, **more)
            self._fuse.burn()
            return answer

        return step if _is_async(found) else found


def _is_async(found: Callable[..., Any]) -> bool:
    import inspect

    return inspect.iscoroutinefunction(found)


@dataclass
class Clock:
    """Time that goes on only when told."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.at

    def go_on(self, delta: timedelta) -> None:
        """So much later."""
        self.at += delta


@dataclass
class ToldPeers:
    """What each service keeps of everybody, in pieces, and how often it was asked."""

    kept: dict[str, list[Piece]]
    away: set[str] = field(default_factory=set)
    cut_after: int | None = None
    """So many pieces come, and then the line is cut, once."""
    fuse: Fuse = field(default_factory=Fuse)
    erasures: dict[str, int] = field(default_factory=dict)
    own: Any = None
    """Identity's own subjects, where it is to be really erased."""
    forgot: dict[str, set[uuid.UUID]] = field(default_factory=dict)
    """Whom a service does not know to have erased."""

    @property
    def services(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.kept)

    async def export(self, service: str, user: uuid.UUID, cursor: str) -> AsyncIterator[Piece]:
        """The pieces after a cursor."""
        del user
        if service in self.away:
            raise Unavailable(f"{service} is away")
        pieces = self.kept[service]
        cursors = [piece.cursor for piece in pieces]
        start = cursors.index(cursor) + 1 if cursor else 0
        for number, piece in enumerate(pieces[start:]):
            if self.cut_after is not None and number == self.cut_after:
                self.cut_after = None
                raise Unavailable(f"{service} was cut")
            self.fuse.burn()
            yield piece

    async def erase(self, service: str, user: uuid.UUID) -> tuple[list[Erased], bool]:
        """All of it: half at the first asking, the rest at the second."""
        self.fuse.burn()
        if service in self.away:
            raise Unavailable(f"{service} is away")
        if service == "identity" and self.own is not None:
            found: tuple[list[Erased], bool] = await self.own.erase(user, 10)
            return found
        self.forgot.get(service, set()).discard(user)
        self.erasures[service] = asked = self.erasures.get(service, 0) + 1
        self.fuse.burn()
        return [Erased("things", min(asked, 2) * 5, datetime.now(UTC))], asked > 1

    async def unerased(self, service: str, users: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        """Whom it forgot."""
        if service in self.away:
            raise Unavailable(f"{service} is away")
        return [user for user in users if user in self.forgot.get(service, set())]


def address_of(user: uuid.UUID) -> str:
    """Whom `register` made has this one."""
    return f"{user}@example.com"


async def register(url: str, name: str = "Vera") -> uuid.UUID:
    """A person with an account and a profile, straight in the rows."""
    user = user_id(7)
    await execute(
        url,
        """WITH account AS (
            INSERT INTO accounts (user_id, password_hash, created_at)
            VALUES (%(user)s, '', now())
        ), address AS (
            INSERT INTO addresses (user_id, address_id, channel, address, address_key, state,
                                   is_primary, created_at)
            VALUES (%(user)s, uuidv7(), 'email', %(email)s, %(email)s, 'claimed', true, now()))
        INSERT INTO profiles (user_id, display_name, bio, version, created_at, updated_at)
        VALUES (%(user)s, %(name)s, '', 1, now(), now())""",
        {"user": user, "email": address_of(user), "name": name},
    )
    return user


async def execute(url: str, query: str, values: Mapping[str, Any] | None = None) -> list[Any]:
    """Runs a statement; its rows."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query.encode(), values)
        return await cursor.fetchall() if cursor.description else []
