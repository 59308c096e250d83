"""The streams under way in this process, so that they can be ended: late, or revoked.

Owns when a stream ends by its token. Never says what the stream's client is told.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from mesh.runtime.calls import User, stream_end_s
from mesh.runtime.errors import MeshError
from mesh.runtime.revocations import Revocation, Revocations


class LiveStream:
    """One stream's bounds; `async with` it around all that the stream does."""

    __slots__ = ("_limit", "_streams", "revoked", "user")

    def __init__(self, streams: LiveStreams) -> None:
        self._streams = streams
        self._limit = asyncio.timeout(None)
        self.user: User | None = None
        self.revoked = False

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._streams.forget(self)
        await self._limit.__aexit__(kind, error, trace)

    @property
    def over(self) -> bool:
        """Whether its token ended it."""
        return self._limit.expired()

    def belongs_to(self, user: User) -> None:
        """Lets it live as long as this token does, a minute longer.

        Raises:
            MeshError: TOKEN_REVOKED where it is being ended already.
        """
        if self.revoked:
            raise MeshError("TOKEN_REVOKED")
        self._streams.forget(self)
        self.user = user
        self._streams.remember(self, user)
        self._limit.reschedule(stream_end_s(user))

    def revoke(self) -> None:
        """Ends it now."""
        if not self.revoked:
            self.revoked = True
            self._limit.reschedule(asyncio.get_running_loop().time())


class LiveStreams:
    """All of them, by whose they are."""

    def __init__(self, revocations: Revocations | None = None) -> None:
        # By the session and by the person, whose ids are never the same.
        self._of: dict[str | uuid.UUID, set[LiveStream]] = {}
        self._revocations = revocations
        if revocations is not None:
            revocations.listeners.append(self._end)

    def remember(self, stream: LiveStream, user: User) -> None:
        """Finds it again by its user and session."""
        for key in (user.id, user.session):
            self._of.setdefault(key, set()).add(stream)

    def forget(self, stream: LiveStream) -> None:
        """It is over, or another's."""
        if stream.user is None:
            return
        for key in (stream.user.id, stream.user.session):
            found = self._of.get(key, set())
            found.discard(stream)
            if not found:
                self._of.pop(key, None)

    def _end(self, new: Iterable[Revocation]) -> None:
        for each in new:
            # A key does not say whose tokens it signed: all are looked at, which is rare.
            keys = list(self._of) if each.key_id else [each.user or each.session]
            for key in keys:
                for stream in tuple(self._of.get(key, ())):
                    self._judge(stream)

    def _judge(self, stream: LiveStream) -> None:
        user = stream.user
        if user is not None and self._revocations is not None and self._revocations.refuses(user):
            stream.revoke()
