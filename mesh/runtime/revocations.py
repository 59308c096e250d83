"""Tokens that are no longer believed though their time is not over.

A small set in every process, fed by identity (`mesh.runtime.revocation_feed`). What a token
is checked against is in memory: nobody is asked. While identity is away the last set serves,
and a metric says for how long. The set is bounded: what is dropped where it is full takes all
tokens with it that are as old, so that a full set refuses too much, never too little.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mesh.runtime.calls import User
from mesh.runtime.errors import MeshError, Unavailable

MOST = 100_000
FIRST_ANSWER_S = 0.5
"""How long the first calls of a process wait for the first answer: less than most may take in
all, so that they hear that they may try again."""
_SWEEP_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Revocation:
    """Something that is not believed; one of `session`, `user` and `key_id`."""

    created_s: float
    """In s since 1970."""
    expires_s: float
    """When the last token that it meets is over, in s since 1970."""
    session: str = ""
    user: uuid.UUID | None = None
    first_generation: int = 0
    """Of the user's tokens, the first that is believed."""
    key_id: str = ""


@dataclass(slots=True)
class _Known:
    sessions: dict[str, Revocation] = field(default_factory=dict)
    users: dict[uuid.UUID, Revocation] = field(default_factory=dict)
    keys: dict[str, Revocation] = field(default_factory=dict)

    def add(self, each: Revocation) -> bool:
        """Whether it says something new."""
        if each.user is not None:
            known = self.users.get(each.user)
            new = known is None or known.first_generation < each.first_generation
            if new:
                self.users[each.user] = each
            return new
        found, key = (self.keys, each.key_id) if each.key_id else (self.sessions, each.session)
        new = key not in found
        found[key] = each
        return new

    def __len__(self) -> int:
        return len(self.sessions) + len(self.users) + len(self.keys)

    def all(self) -> Iterable[Revocation]:
        for part in (self.sessions, self.users, self.keys):
            yield from part.values()


class Revocations:
    """What this process knows to be revoked."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known = _Known()
        self.revoked_before_s = 0.0
        """Tokens issued until then are refused, in s since 1970."""
        self._first = asyncio.Event()
        self._swept_s = clock()
        self.heard_s = clock()
        """When identity last gave a sign of life, in s since 1970."""
        self.listeners: list[Callable[[list[Revocation]], None]] = []
        """Told what is new, at once: streams under way may have to end."""

    def __len__(self) -> int:
        return len(self._known)

    @property
    def is_known(self) -> bool:
        """Whether identity has said at least once what is revoked."""
        return self._first.is_set()

    def refuses(self, user: User) -> bool:
        """Whether a verified token is no longer believed."""
        known = self._known
        if user.session in known.sessions or user.issued_at_s <= self.revoked_before_s:
            return True
        if known.users:
            found = known.users.get(user.id)
            if found is not None and user.generation < found.first_generation:
                return True
        return user.key_id in known.keys

    async def check(self, user: User) -> None:
        """Passes tokens that are believed.

        Raises:
            MeshError: TOKEN_REVOKED; UNAVAILABLE where identity has never said what is.
        """
        if not self.is_known:
            await self._wait()
        if self.refuses(user):
            raise MeshError("TOKEN_REVOKED")

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(FIRST_ANSWER_S):
                await self._first.wait()
        except TimeoutError:
            raise Unavailable("what is revoked is not known yet") from None

    def everything(self) -> list[Revocation]:
        """All that is known."""
        return list(self._known.all())

    def refuse_until(self, issued_s: float) -> None:
        """Believes no token issued until then."""
        self.revoked_before_s = max(self.revoked_before_s, issued_s)

    def replace(self, everything: Iterable[Revocation]) -> None:
        """Takes a whole answer in the place of what was known."""
        before, self._known = self._known, _Known()
        self._take(everything, before)
        self._first.set()

    def add(self, more: Iterable[Revocation]) -> None:
        """Takes news."""
        self._take(more, self._known)

    def heard(self) -> None:
        """Identity gave a sign of life."""
        self.heard_s = now = self._clock()
        if now - self._swept_s > _SWEEP_EVERY_S:
            self._swept_s = now
            self._keep(each for each in self._known.all() if each.expires_s > now)

    def _take(self, more: Iterable[Revocation], before: _Known) -> None:
        new = []
        for each in more:
            says_more = before is self._known or before.add(each)
            if self._known.add(each) and says_more:
                new.append(each)
        if len(self._known) > MOST:
            self._drop_oldest()
        if new:
            for listener in self.listeners:
                listener(new)

    def _drop_oldest(self) -> None:
        """Makes room: a tenth goes, and with it every token that is as old."""
        # Withdrawn keys stay: they are few, and meet tokens of any age.
        found = [each for each in self._known.all() if not each.key_id]
        found.sort(key=lambda each: each.created_s)
        keys = list(self._known.keys.values())
        dropped = len(self._known) - MOST * 9 // 10
        self.refuse_until(found[dropped - 1].created_s)
        self._keep([*keys, *found[dropped:]])

    def _keep(self, found: Iterable[Revocation]) -> None:
        kept = _Known()
        for each in found:
            kept.add(each)
        self._known = kept
