"""Fetching what the copy lacks: everything at first, and whatever was lost on the way later.

Each page is applied and remembered together, so that a process that is killed goes on where
it was. Events are heard meanwhile; an older state never replaces a newer one. What was
behind is good again when all pages are in and nothing was lost since the first of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import grpc
import structlog
from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    SmallInteger,
    Uuid,
    and_,
    bindparam,
    case,
    column,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from mesh.runtime.channel import MeshChannel
from mesh.runtime.clock import Clock
from mesh.runtime.relations.applying import apply
from mesh.runtime.relations.feeds import feed_of
from mesh.runtime.relations.visible import HANDLER
from mesh.runtime.relay import PARTITIONS, partition_of
from mesh.runtime.sql import Database, Session, Statement
from mesh.runtime.tables import DEAD_LETTERS, ERASED_PEOPLE
from mesh.runtime.tables import RELATIONS_COPYING as COPYING
from mesh.runtime.tables import RELATIONS_FEEDS as FEEDS
from mesh.runtime.tables import RELATIONS_KNOWN as KNOWN
from mesh.runtime.tables import RELATIONS_REPLICA as REPLICA
from palestra.identity.v1.visibility_service_pb2 import (
    ListRelationChangesRequest,
    ListRelationChangesResponse,
)
from palestra.identity.v1.visibility_service_pb2_grpc import VisibilityServiceStub

PEOPLE_AT_ONCE: Final = 100
SETTLED_AT_ONCE: Final = 5_000
FORGOTTEN_AT_ONCE: Final = 5_000
AWAY_TOO_LONG: Final = timedelta(days=29)
"""Identity tells for 30 days that a pair has ended; who was away longer begins anew."""
EMPTY_FOR: Final = timedelta(days=2)
"""Longer than any event or page of before is under way."""
_log = structlog.get_logger(__name__)
_now = bindparam("now", type_=DateTime(timezone=True))

_PLACE = Statement(select(COPYING.c.page_token))
_START = Statement(
    insert(COPYING)
    .values(one=literal(True), page_token=bindparam("token"))
    .on_conflict_do_nothing()
)
_GO_ON = Statement(update(COPYING).values(page_token=bindparam("token")))
_DONE = Statement(delete(COPYING))
_STATE = Statement(
    select(
        func.count(),
        func.count().filter(FEEDS.c.behind),
        func.min(FEEDS.c.heard_at),
    ).select_from(FEEDS)
)
_beats = (
    func.unnest(
        bindparam("feeds", type_=ARRAY(SmallInteger)), bindparam("beats", type_=ARRAY(BigInteger))
    )
    .table_valued(column("feed", SmallInteger), column("beat", BigInteger))
    .render_derived(name="beats")
)
# Not heard of until the next beat: until then nobody is shown anything.
_OPEN = Statement(
    insert(FEEDS)
    .from_select(
        ["feed", "beat", "heard_at", "behind", "copying"],
        select(
            _beats.c.feed,
            _beats.c.beat,
            func.to_timestamp(0),
            literal(True, Boolean),
            literal(True, Boolean),
        ),
    )
    .on_conflict_do_update(index_elements=[FEEDS.c.feed], set_={"copying": True})
)
_CLOSE = Statement(update(FEEDS).where(FEEDS.c.copying).values(behind=False, copying=False))
_people = (
    func.unnest(
        bindparam("people", type_=ARRAY(Uuid)),
        bindparam("versions", type_=ARRAY(BigInteger)),
        bindparam("their_feeds", type_=ARRAY(SmallInteger)),
    )
    .table_valued(
        column("user_id", Uuid), column("version", BigInteger), column("feed", SmallInteger)
    )
    .render_derived(name="people")
)
_trusted = exists().where(FEEDS.c.feed == _people.c.feed, ~FEEDS.c.behind).correlate(_people)
_theirs = insert(KNOWN).from_select(
    ["user_id", "version", "behind_to", "copied_to"],
    select(
        _people.c.user_id,
        _people.c.version,
        # Where the feed is good somebody may ask before his pairs are here.
        case((_trusted, _people.c.version), else_=null()),
        _people.c.version,
    )
    .where(~exists().where(ERASED_PEOPLE.c.user_id == _people.c.user_id).correlate(_people))
    .order_by(_people.c.user_id),
)
_PEOPLE = Statement(
    _theirs.on_conflict_do_update(
        index_elements=[KNOWN.c.user_id], set_={"copied_to": _theirs.excluded.copied_to}
    )
)
_some = select(KNOWN.c.user_id).where(KNOWN.c.copied_to.is_not(None)).limit(SETTLED_AT_ONCE)
_settled = {
    "version": func.greatest(KNOWN.c.version, KNOWN.c.copied_to),
    "behind_to": case((KNOWN.c.behind_to > KNOWN.c.copied_to, KNOWN.c.behind_to), else_=null()),
    "copied_to": null(),
}
_SETTLE = Statement(update(KNOWN).where(KNOWN.c.user_id.in_(_some)).values(_settled))
_SETTLE_ONE = Statement(
    update(KNOWN)
    .where(KNOWN.c.user_id == bindparam("of_user", type_=Uuid), KNOWN.c.copied_to.is_not(None))
    .values(_settled)
)
_given_up = (
    select(func.split_part(DEAD_LETTERS.c.key, "/", 2).cast(Uuid).label("user_id"))
    .select_from(DEAD_LETTERS)
    .join(
        KNOWN,
        KNOWN.c.user_id == func.split_part(DEAD_LETTERS.c.key, "/", 2).cast(Uuid),
        isouter=True,
    )
    .where(
        DEAD_LETTERS.c.handler == HANDLER,
        DEAD_LETTERS.c.key_version > func.coalesce(KNOWN.c.version, 0),
    )
)
_BEHIND = Statement(
    select(KNOWN.c.user_id)
    .where(KNOWN.c.behind_to.is_not(None))
    .union(_given_up)
    .limit(PEOPLE_AT_ONCE)
)
_FORGET_ALL = (Statement(delete(REPLICA)), Statement(delete(KNOWN)), Statement(delete(FEEDS)))
_empty = and_(
    ~or_(REPLICA.c.follows, REPLICA.c.close_friend, REPLICA.c.blocked, REPLICA.c.muted),
    REPLICA.c.changed_at < bindparam("before", type_=DateTime(timezone=True)),
)
_FORGET = Statement(
    delete(REPLICA).where(
        tuple_(REPLICA.c.viewer_id, REPLICA.c.owner_id).in_(
            select(REPLICA.c.viewer_id, REPLICA.c.owner_id).where(_empty).limit(FORGOTTEN_AT_ONCE)
        )
    )
)


@dataclass(frozen=True, slots=True)
class Copying:
    """What one process of the service does by the clock."""

    database: Database
    mesh: MeshChannel
    clock: Clock

    async def catch_up(self) -> None:
        """Fetches what is missing; where identity does not answer, the next time."""
        try:
            await self._everything()
            await self._of_people()
        except grpc.aio.AioRpcError as error:
            _log.warning("relations_not_fetched", code=error.code().name)

    async def forget(self) -> None:
        """Drops pairs with nothing in them of which nothing older can come."""
        await self.database.run(_FORGET, {"before": self.clock() - EMPTY_FOR})

    async def _everything(self) -> None:
        place = await self.database.row(_PLACE, {})
        if place is None and not await self._lacks():
            return
        token = str(place[0]) if place else ""
        while True:
            page = await self._page(token)
            async with self.database.transaction() as session:
                if not token:
                    await session.run(_OPEN, _counted(page))
                    await session.run(_START, {"token": page.next_page_token})
                await self._keep(session, page)
                token = page.next_page_token
                await session.run(_GO_ON, {"token": token})
            if not token:
                break
        while await self.database.run(_SETTLE, {}) == SETTLED_AT_ONCE:
            pass
        async with self.database.transaction() as session:
            await session.run(_CLOSE, {})
            await session.run(_DONE, {})

    async def _lacks(self) -> bool:
        """Whether everything is to be fetched; makes an end of what is too old to mend."""
        row = await self.database.row(_STATE, {})
        count, behind, heard_at = row or (0, 0, None)
        if count == PARTITIONS and not behind:
            return False
        if heard_at is not None and heard_at < self.clock() - AWAY_TOO_LONG:
            async with self.database.transaction() as session:
                for statement in _FORGET_ALL:
                    await session.run(statement, {})
        return True

    async def _of_people(self) -> None:
        for (user,) in await self.database.rows(_BEHIND, {}):
            await self._of_person(user)

    async def _of_person(self, user: uuid.UUID) -> None:
        token = ""
        while True:
            page = await self._page(token, user)
            async with self.database.transaction() as session:
                await self._keep(session, page)
                token = page.next_page_token
                if not token:
                    await session.run(_SETTLE_ONE, {"of_user": user})
                    return

    async def _page(self, token: str, user: uuid.UUID | None = None) -> ListRelationChangesResponse:
        request = ListRelationChangesRequest(page_token=token)
        if user is not None:
            request.user = f"users/{user}"
        stub = VisibilityServiceStub(self.mesh.for_stubs())
        page: ListRelationChangesResponse = await stub.ListRelationChanges(request)
        return page

    async def _keep(self, session: Session, page: ListRelationChangesResponse) -> None:
        if page.people:
            await session.run(_PEOPLE, _people_of(page))
        await apply(session, page.pairs, self.clock())


def _counted(page: ListRelationChangesResponse) -> Mapping[str, Any]:
    beats = dict.fromkeys(range(PARTITIONS), 0)
    beats |= {partition_of(each.key): each.version for each in page.beats}
    return {"feeds": list(beats), "beats": list(beats.values())}


def _people_of(page: ListRelationChangesResponse) -> Mapping[str, Sequence[Any]]:
    people = [uuid.UUID(each.user.removeprefix("users/")) for each in page.people]
    return {
        "people": people,
        "versions": [each.version for each in page.people],
        "their_feeds": [feed_of(each) for each in people],
    }
