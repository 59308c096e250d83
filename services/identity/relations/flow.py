"""Use cases of relations: load, decide, save, tell."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from mesh.runtime.clock import Clock
from mesh.runtime.consistency import Reached
from mesh.runtime.errors import invalid_field
from mesh.runtime.relations.feeds import beat_keys
from services.identity import events
from services.identity.profiles.rules import UserNotFound
from services.identity.relations import events_of, rules
from services.identity.relations.rules import Bonds, Counts, Pair, Person
from services.identity.relations.store import Decide, Recorded, RelationStore, Row
from services.identity.visibility.rules import Audience, Standing, sees

NEWEST: Final = (datetime.max.replace(tzinfo=UTC), uuid.UUID(int=(1 << 128) - 1))
NOBODY: Final = uuid.UUID(int=0)
COPIED_AT_ONCE: Final = 1_000


class Kind(enum.Enum):
    """What a list of a person's pairs is of: since when it is so."""

    FOLLOWING = "followed_at"
    FOLLOWERS = "their_followed_at"
    REQUESTS = "their_requested_at"
    BLOCKS = "blocked_at"
    MUTES = "muted_at"
    CLOSE_FRIENDS = "close_at"

    def count(self, counts: Counts) -> int:
        """How many there are in all."""
        return int(getattr(counts, self.name.lower()))

    def since(self, pair: Pair) -> datetime:
        """By which time the list is ordered."""
        side = pair.theirs if self.value.startswith("their_") else pair.mine
        found: datetime = getattr(side, self.value.removeprefix("their_"))
        return found


@dataclass(frozen=True, slots=True)
class Done:
    """A pair after a change, as the one who made it has it."""

    pair: Pair
    reached: Reached
    """What copies must have come to, to know of it."""


@dataclass(frozen=True, slots=True)
class RelationFlow:
    """Following, blocking, muting, trusting; and who sees whose things by that."""

    store: RelationStore
    clock: Clock

    async def between(self, viewer: uuid.UUID | None, owner: uuid.UUID) -> Standing:
        """What a viewer is to an owner; None looks without being signed in.

        A stranger to people who are not there.
        """
        if viewer == owner:
            return Standing.SELF
        if viewer is None:
            return Standing.STRANGER
        return rules.standing(await self.store.pair(viewer, owner) or Pair())

    async def visible(
        self,
        viewer: uuid.UUID | None,
        owner: uuid.UUID,
        audience: Audience,
        asked: Sequence[Reached] = (),
    ) -> bool:
        """Whether a viewer sees what an owner has for an audience; no where there is no owner."""
        return bool(await self.filter(viewer, [owner], audience, asked))

    async def filter(
        self,
        viewer: uuid.UUID | None,
        owners: Sequence[uuid.UUID],
        audience: Audience,
        asked: Sequence[Reached] = (),
        *,
        unmuted: bool = False,
    ) -> list[uuid.UUID]:
        """Those of the owners, in their order, whose things a viewer sees; see `visible`."""
        people = [*owners, viewer] if viewer else owners
        bonds = await self.store.bonds(viewer or NOBODY, people, self.clock())
        if (viewer is not None and viewer not in bonds) or not await self._reached(asked):
            return []
        unwanted = Bonds.MUTES if unmuted else Bonds.NONE
        shown = {
            bits
            for bits in set(bonds.values())
            if not bits & unwanted and sees(rules.standing_of(bits), audience)
        }
        return [
            owner
            for owner in owners
            if bonds.get(owner) in shown or (owner == viewer and sees(Standing.SELF, audience))
        ]

    async def _reached(self, asked: Sequence[Reached]) -> bool:
        """Whether identity itself has come so far: always, but for a restored backup."""
        for each in asked:
            if (await self.store.person(each.user)).version < each.version:
                return False
        return True

    async def relation(self, me: uuid.UUID, other: uuid.UUID) -> Pair:
        """What is between two people.

        Raises:
            RelationToSelf; UserNotFound: also for who is blocked.
        """
        _not_self(me, other)
        pair = await self.store.pair(me, other)
        if pair is None or pair.theirs.blocked_at is not None:
            raise UserNotFound
        return pair

    async def change(self, me: uuid.UUID, other: uuid.UUID, decide: Decide) -> Done:
        """Makes of a pair what one of the rules says.

        Raises:
            RelationToSelf, UserNotFound; whatever the rule raises.
        """
        _not_self(me, other)
        done = await self.store.change(me, other, decide, events_of.change, self.clock())
        return Done(done.pair, Reached(me, done.me.version))

    async def end(self, me: uuid.UUID, other: uuid.UUID, decide: Decide) -> Done:
        """The same for rules that only take away: with nobody there is nothing to end."""
        try:
            return await self.change(me, other, decide)
        except (UserNotFound, rules.RelationToSelf):
            return Done(Pair(), Reached(me, (await self.store.person(me)).version))

    async def mute(self, me: uuid.UUID, other: uuid.UUID, until: datetime | None) -> Done:
        """See `rules.mute`.

        Raises:
            MeshError: INVALID_FIELD where the time has passed. As `change`.
        """
        if until is not None and until <= self.clock():
            raise invalid_field("until_time", "has passed already")
        return await self.change(me, other, partial(rules.mute, until=until))

    async def listed(
        self, me: uuid.UUID, kind: Kind, before: tuple[datetime, uuid.UUID] | None, most: int
    ) -> tuple[list[Row], bool]:
        """A page of a person's pairs of a kind, the newest first, and whether there are more."""
        found = await self.store.listed(me, kind.value, before or NEWEST, most + 1)
        return found[:most], len(found) > most

    async def person(self, user: uuid.UUID) -> Person:
        """A person's counts and wishes."""
        return await self.store.person(user)

    async def set_approval(self, user: uuid.UUID, *, approval: bool) -> Person:
        """Keeps whether a person wants to be asked.

        Raises:
            UserNotFound
        """
        await self.store.set_approval(user, approval=approval)
        return await self.store.person(user)

    async def forget(self) -> None:
        """Drops pairs with nothing in them when everyone has heard of it."""
        await self.store.forget(self.clock() - rules.KEPT_EMPTY)

    async def beat(self) -> None:
        """Says through each partition of the bus that all before was told."""
        await self.store.beat([events.relations_beat(key) for key in beat_keys()])

    async def copied(self, after: list[str] | None, user: uuid.UUID | None) -> CopyPage:
        """A page of everything, for those who keep copies; `after` is the page's before."""
        if user is not None:
            return await self._copied_of(user, after)
        stage, *ids = after or ["people", str(NOBODY)]
        place = [uuid.UUID(each) for each in ids]
        if stage == "people":
            beats = {} if after else await self.store.beats()
            people = await self.store.people_after(place[0], COPIED_AT_ONCE)
            if len(people) == COPIED_AT_ONCE:
                return CopyPage(people, [], ["people", str(people[-1][0])], beats)
            return CopyPage(people, [], ["pairs", str(NOBODY), str(NOBODY)], beats)
        pairs = await self.store.recorded_after((place[0], place[1]), COPIED_AT_ONCE)
        more = len(pairs) == COPIED_AT_ONCE
        last = ["pairs", str(pairs[-1].user), str(pairs[-1].other)] if more else None
        return CopyPage([], pairs, last, {})

    async def _copied_of(self, user: uuid.UUID, after: list[str] | None) -> CopyPage:
        people = [] if after else [(user, (await self.store.person(user)).version)]
        since = uuid.UUID(after[0]) if after else NOBODY
        pairs = await self.store.recorded_of(user, since, COPIED_AT_ONCE)
        more = len(pairs) == COPIED_AT_ONCE
        return CopyPage(people, pairs, [str(pairs[-1].other)] if more else None, {})


@dataclass(frozen=True, slots=True)
class CopyPage:
    """A part of everything."""

    people: Sequence[tuple[uuid.UUID, int]]
    pairs: Sequence[Recorded]
    last: list[str] | None
    """Where the next page goes on; None on the last one."""
    beats: Mapping[str, int]


def _not_self(me: uuid.UUID, other: uuid.UUID) -> None:
    if me == other:
        raise rules.RelationToSelf
