"""What is kept of a person's relations: given out as far as he may know it, and erased.

Owns the end of all that is between an erased person and others: they are told, and their
counts are right after it. What another made of him alone is that other's, and not given out.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import orjson

from mesh.runtime.clock import now
from mesh.runtime.sql import Session
from mesh.runtime.subjects import Piece, Reach, Rows, Subject
from services.identity.relations import events_of
from services.identity.relations.rules import Pair
from services.identity.relations.store import RelationStore, close, erase
from services.identity.tables.relations import RELATION_PAIRS, RELATION_PEOPLE

PAGE = 200
_FIRST = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class Relations:
    """All pairs that a person is in."""

    @property
    def name(self) -> str:
        """The table's."""
        return RELATION_PAIRS.name

    @property
    def tables(self) -> frozenset[str]:
        """The one."""
        return frozenset({RELATION_PAIRS.name})

    async def export(self, reach: Reach, user: uuid.UUID, after: str) -> AsyncIterator[Piece]:
        """A line for each other: what the person made of him, and whether he follows."""
        store, place = RelationStore(reach.database), uuid.UUID(after) if after else _FIRST
        while True:
            found = await store.recorded_of(user, place, PAGE)
            for each in found:
                place = each.other
                if told := _told(each.pair):
                    line = orjson.dumps({"other": str(place), **told}, option=orjson.OPT_UTC_Z)
                    yield Piece("relations.jsonl", line + b"\n", str(place))
            if len(found) < PAGE:
                return

    async def erase(
        self, reach: Reach, session: Session, user: uuid.UUID, most: int
    ) -> Mapping[str, int]:
        """Ends pairs, tells the others, and deletes both rows of each."""
        del reach
        return {RELATION_PAIRS.name: await erase(session, user, most, events_of.change, now())}


@dataclass(frozen=True, slots=True)
class Closing:
    """Nothing: before a person's pairs are erased, no new ones may come to be.

    Of its own, for it is to be durable before the first pair is looked for.
    """

    @property
    def name(self) -> str:
        """Of cursors."""
        return "relations_closed"

    @property
    def tables(self) -> frozenset[str]:
        """None: they are the others'."""
        return frozenset()

    async def export(self, reach: Reach, user: uuid.UUID, after: str) -> AsyncIterator[Piece]:
        """Nothing."""
        del reach, user, after
        pieces: tuple[Piece, ...] = ()
        for each in pieces:
            yield each

    async def erase(
        self, reach: Reach, session: Session, user: uuid.UUID, most: int
    ) -> Mapping[str, int]:
        """Lets nobody begin anything with him."""
        del reach, most
        await close(session, user)
        return {}


def _told(pair: Pair) -> dict[str, object]:
    mine, theirs = pair.mine, pair.theirs
    told = {
        "followed_at": mine.followed_at,
        "requested_at": mine.requested_at,
        "blocked_at": mine.blocked_at,
        "muted_at": mine.muted_at,
        "mute_until": mine.mute_until,
        "close_friend_at": mine.close_at,
        "follower_at": theirs.followed_at,
        "follow_requested_by_other_at": theirs.requested_at,
    }
    return {name: value for name, value in told.items() if value is not None}


SUBJECTS: tuple[Subject, ...] = (
    Closing(),
    Relations(),
    Rows(
        RELATION_PEOPLE,
        without={
            "version": "how often the above changed, for those who keep copies",
            "erased": "always false for who is here",
        },
    ),
)
