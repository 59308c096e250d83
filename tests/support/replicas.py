"""A copy of relations as a test wants it, in a service's schema: no identity, no bus."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, update
from sqlalchemy.dialects.postgresql import insert

from mesh.runtime.relay import PARTITIONS
from mesh.runtime.sql import Database, Statement
from mesh.runtime.tables import RELATIONS_FEEDS as FEEDS
from mesh.runtime.tables import RELATIONS_KNOWN as KNOWN
from mesh.runtime.tables import RELATIONS_REPLICA as REPLICA

_feed = insert(FEEDS).values(
    feed=bindparam("feed"), beat=1, heard_at=bindparam("heard_at"), behind=False, copying=False
)
_HEARD = Statement(
    _feed.on_conflict_do_update(
        index_elements=[FEEDS.c.feed],
        set_={"heard_at": _feed.excluded.heard_at, "behind": False},
    )
)
_BEHIND = Statement(update(FEEDS).values(behind=bindparam("is_behind")))
_person = insert(KNOWN).values(user_id=bindparam("user"), version=bindparam("version"))
_KNOWN = Statement(
    _person.on_conflict_do_update(
        index_elements=[KNOWN.c.user_id], set_={"version": _person.excluded.version}
    )
)
_SIDES = ("follows", "close_friend", "blocked", "muted")
_pair = insert(REPLICA).values(
    {name: bindparam(name) for name in ("viewer_id", "owner_id", *_SIDES)}
    | {"pair_version": 1, "changed_at": bindparam("changed_at")}
)
_RELATE = Statement(
    _pair.on_conflict_do_update(
        index_elements=[REPLICA.c.viewer_id, REPLICA.c.owner_id],
        set_={name: _pair.excluded[name] for name in _SIDES},
    )
)


async def alive(database: Database, for_s: float = 3_600.0) -> None:
    """Beats have come through each partition; negative, they stopped so long ago."""
    at = datetime.now(UTC) + timedelta(seconds=for_s)
    for feed in range(PARTITIONS):
        await database.run(_HEARD, {"feed": feed, "heard_at": at})


async def behind(database: Database, *, is_behind: bool) -> None:
    """Something was lost on the way."""
    await database.run(_BEHIND, {"is_behind": is_behind})


async def known(database: Database, user: uuid.UUID, version: int) -> None:
    """How far a person's relations have come."""
    await database.run(_KNOWN, {"user": user, "version": version})


async def relate(database: Database, viewer: uuid.UUID, owner: uuid.UUID, *sides: str) -> None:
    """What a viewer is to an owner from now on, with the block for both."""
    values = {"viewer_id": viewer, "owner_id": owner, "changed_at": datetime.now(UTC)}
    await database.run(_RELATE, values | {side: side in sides for side in _SIDES})
