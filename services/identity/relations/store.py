"""Pairs of people in SQL.

A change locks both people, the smaller id first, so that whatever two do to each other at
once happens one after the other; pair, counts, versions and both events are one statement.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from mesh.runtime import outbox
from mesh.runtime.sql import Database, Session, Statement
from services.identity.profiles.rules import UserNotFound
from services.identity.relations import statements as sql
from services.identity.relations.rules import Counts, Pair, Person, Side

_SIDES = len(fields(Side))


@dataclass(frozen=True, slots=True)
class Change:
    """A pair as it is now, as the first person has it."""

    me: Person
    other: Person
    pair: Pair
    """With the versions of both after the change."""

    @property
    def pair_version(self) -> int:
        """Grows with each change of the pair: the version of the one with the smaller id."""
        return min(self.me, self.other, key=lambda each: each.user_id).version


Decide = Callable[[Person, Person, Pair, datetime], Pair]
Tell = Callable[[Change], Sequence[outbox.Message]]


class Row(NamedTuple):
    """A pair in a list of one person's."""

    other: uuid.UUID
    pair: Pair


class Recorded(NamedTuple):
    """A pair as others keep copies of it."""

    user: uuid.UUID
    other: uuid.UUID
    pair: Pair
    pair_version: int


class RelationStore:
    """Rows of pairs and people <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def change(
        self, me: uuid.UUID, other: uuid.UUID, decide: Decide, tell: Tell, now: datetime
    ) -> Change:
        """Makes of a pair what `decide` says, and tells of it; nothing where it stays as it is.

        Raises:
            UserNotFound: there is no such other. Whatever `decide` raises.
        """
        both = {"both": sorted((me, other))}
        for ensured in (False, True):
            async with self._database.transaction() as session:
                people = await _locked(session, sql.LOCK, both)
                if len(people) == 2:
                    return await _make(session, people[me], people[other], decide, tell, now)
            if not ensured:
                await self._database.run(sql.ENSURE, both)
        raise UserNotFound

    async def pair(self, me: uuid.UUID, other: uuid.UUID) -> Pair | None:
        """What is between two people; None where there is no such other."""
        row = await self._database.row(sql.EXISTING_PAIR, {"of_user": me, "of_other": other})
        return _pair(row) if row else None

    async def bonds(
        self, me: uuid.UUID, people: Sequence[uuid.UUID], now: datetime
    ) -> dict[uuid.UUID, int]:
        """What is between a person and each of others, as the bits of `Bonds`; himself is 0.

        Those that there are not, are left out.
        """
        values = {"of_user": me, "people": list(people), "now": now}
        there: list[uuid.UUID] = []
        gone: set[uuid.UUID] = set()
        bonds: dict[uuid.UUID, int] = {}
        for user, told in await self._database.rows(sql.BONDS, values):
            if told >= 0:
                bonds[user] = told
            elif told == sql.THERE:
                there.append(user)
            else:
                gone.add(user)
        return {user: bonds.get(user, 0) for user in there if user not in gone}

    async def listed(
        self, me: uuid.UUID, kind: str, before: tuple[datetime, uuid.UUID], most: int
    ) -> list[Row]:
        """A person's pairs of a kind, the newest first, that come before a time and id."""
        values = {"of_user": me, "before_at": before[0], "before_id": before[1], "most": most}
        rows = await self._database.rows(sql.LISTS[kind], values)
        return [Row(row[0], _pair(row[1:])) for row in rows]

    async def person(self, user: uuid.UUID) -> Person:
        """A person's counts and wishes; those of everyone who never had any to do with others."""
        row = await self._database.row(sql.PERSON, {"of_user": user})
        return _person(row) if row else Person(user)

    async def set_approval(self, user: uuid.UUID, *, approval: bool) -> None:
        """Keeps whether a person wants to be asked.

        Raises:
            UserNotFound
        """
        async with self._database.transaction() as session:
            await session.run(sql.ENSURE, {"both": [user]})
            if not await session.run(sql.APPROVAL, {"of_user": user, "approval": approval}):
                raise UserNotFound

    async def forget(self, before: datetime) -> int:
        """Drops some of the pairs with nothing in them since then; answers how many rows."""
        return await self._database.run(sql.FORGET, {"before": before})

    async def beat(self, messages: Sequence[outbox.Message]) -> None:
        """Sends one beat through each partition of the bus."""
        await self._database.run(sql.BEAT, outbox.values_of_all(messages))

    async def beats(self) -> dict[str, int]:
        """How many beats of each key there were."""
        return dict(await self._database.rows(sql.BEATS, {}))

    async def people_after(self, after: uuid.UUID, most: int) -> list[tuple[uuid.UUID, int]]:
        """People and their versions, in the order of their ids."""
        rows = await self._database.rows(sql.PEOPLE, {"after": after, "most": most})
        return [(user, version) for user, version in rows]

    async def recorded_after(self, after: tuple[uuid.UUID, uuid.UUID], most: int) -> list[Recorded]:
        """Every pair once, in the order of their ids."""
        values = {"after_user": after[0], "after_other": after[1], "most": most}
        rows = await self._database.rows(sql.RECORDED, values)
        return [_recorded(row) for row in rows]

    async def recorded_of(self, user: uuid.UUID, after: uuid.UUID, most: int) -> list[Recorded]:
        """One person's pairs, in the order of the others' ids."""
        values = {"of_user": user, "after": after, "most": most}
        rows = await self._database.rows(sql.RECORDED_OF, values)
        return [_recorded(row) for row in rows]


async def close(session: Session, user: uuid.UUID) -> None:
    """Lets nobody change a person's pairs any more; who waits to do so finds him gone."""
    await session.run(sql.CLOSE, {"of_user": user})


async def erase(session: Session, user: uuid.UUID, most: int, tell: Tell, now: datetime) -> int:
    """Ends up to `most` of the pairs of a person who is closed, and takes them away.

    Answers how many pairs that were: fewer than `most` where nothing is left.
    """
    found = [
        _recorded(row) for row in await session.rows(sql.ALL_OF, {"of_user": user, "most": most})
    ]
    people = await _locked(
        session, sql.LOCK_ANY, {"both": sorted({user, *(each.other for each in found)})}
    )
    # Read again, now that nobody can change them.
    others = [each.other for each in found]
    rows = await session.rows(sql.PAIRS, {"of_user": user, "others": others})
    me, changes = people.get(user, Person(user)), []
    for other, *sides in rows:
        pair = _pair(sides)
        if not pair.empty:
            changes.append(_change(me, people[other], pair, Pair()))
            me = changes[-1].me
    await session.run_many(
        sql.SAVE,
        [{**_values(each, now), **outbox.values_of_all(tell(each))} for each in changes],
    )
    await session.run(sql.DELETE, {"of_user": user, "others": others})
    return len(found)


async def _locked(
    session: Session, lock: Statement, both: Mapping[str, Sequence[uuid.UUID]]
) -> dict[uuid.UUID, Person]:
    return {row[0]: _person(row) for row in await session.rows(lock, both)}


async def _make(
    session: Session, me: Person, other: Person, decide: Decide, tell: Tell, now: datetime
) -> Change:
    row = await session.row(sql.PAIR, {"of_user": me.user_id, "of_other": other.user_id})
    pair = _pair(row) if row else Pair()
    changed = decide(me, other, pair, now)
    if changed == pair:
        return Change(me, other, pair)
    change = _change(me, other, pair, changed)
    await session.run(sql.SAVE, {**_values(change, now), **outbox.values_of_all(tell(change))})
    return change


def _pair(row: Sequence[Any]) -> Pair:
    return Pair(Side(*row[:_SIDES]), Side(*row[_SIDES : 2 * _SIDES]))


def _recorded(row: Sequence[Any]) -> Recorded:
    user, other, pair_version, *sides = row
    return Recorded(user, other, _pair(sides), pair_version)


def _person(row: Sequence[Any]) -> Person:
    user, version, approval, *counts = row
    return Person(user, version, approval, Counts(*counts))


def _change(me: Person, other: Person, pair: Pair, changed: Pair) -> Change:
    return Change(
        _moved(me, pair, changed), _moved(other, pair.turned(), changed.turned()), changed
    )


def _moved(person: Person, before: Pair, after: Pair) -> Person:
    return Person(
        person.user_id, person.version + 1, person.approval, person.counts.after(before, after)
    )


def _values(change: Change, now: datetime) -> dict[str, object]:
    """The bind values of `SAVE`, but the events'."""
    values: dict[str, object] = {
        "pair_version": change.pair_version,
        "changed_at": now,
        "empty": change.pair.empty,
    }
    for number, (person, pair) in enumerate(
        ((change.me, change.pair), (change.other, change.pair.turned()))
    ):
        values[f"user_{number}"] = person.user_id
        values[f"version_{number}"] = person.version
        for name in sql.COUNTS:
            values[f"{name}_{number}"] = getattr(person.counts, name)
        for prefix, side in (("", pair.mine), ("their_", pair.theirs)):
            for name in sql.SIDE:
                values[f"{prefix}{name}_{number}"] = getattr(side, name)
    return values
