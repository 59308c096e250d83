"""What others may see, in SQL: who sees what is a condition of the statement that reads it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    LargeBinary,
    Select,
    SmallInteger,
    Uuid,
    and_,
    bindparam,
    case,
    column,
    exists,
    func,
    literal,
    null,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from mesh.runtime.relations.replica import Relations, only_visible
from mesh.runtime.relay import partition_of
from mesh.runtime.sql import Database, Session, Statement
from mesh.runtime.tables import RELATIONS_FEEDS as FEEDS
from services.training.activities.rules.audiences import Audience
from services.training.activities.store import Place, Window
from services.training.keys import SessionKey
from services.training.tables import ACTIVITIES, TOLD_SETTINGS
from services.training.tables import SHOWN_ACTIVITIES as SHOWN

DECIDED_AT_ONCE: Final = 100
BEFORE_ALL: Final = SessionKey(uuid.UUID(int=0), uuid.UUID(int=0))
_CAN_BE_SEEN: Final = [Audience.EVERYONE, Audience.FOLLOWERS, Audience.CLOSE_FRIENDS]


class ForOthers(NamedTuple):
    """An activity that a viewer may see, and what is kept of what he sees."""

    activity_id: uuid.UUID
    started_at: datetime
    message: bytes | None
    """The activity, whole; None where what is seen of this version was kept."""
    version: int
    told: int
    """The newest change of its owner's settings that was told of."""
    heard: bool
    """Whether the way by which such changes are told is alive."""
    shown_version: int | None
    shown_circles: bytes | None
    shown_form: bytes | None
    """What was kept: serialised, or as JSON where that was asked for."""


class Form(NamedTuple):
    """What others see of one version of an activity."""

    activity_id: uuid.UUID
    version: int
    circles: bytes
    message: bytes
    json: bytes


_owner: ColumnElement[uuid.UUID] = bindparam("of_user", type_=Uuid)
_ours = and_(
    ACTIVITIES.c.user_id == _owner, ACTIVITIES.c.activity_id == bindparam("of_activity", type_=Uuid)
)
# As the index says it.
_shareable = and_(
    ACTIVITIES.c.deleted_at.is_(None),
    ACTIVITIES.c.state == 2,
    ACTIVITIES.c.audience.in_([literal(int(each)) for each in _CAN_BE_SEEN]),
)
_heard = exists().where(
    FEEDS.c.feed == bindparam("settings_feed", type_=SmallInteger),
    FEEDS.c.heard_at >= bindparam("relations_heard_since", type_=DateTime(timezone=True)),
)
_told = func.coalesce(
    select(TOLD_SETTINGS.c.version).where(TOLD_SETTINGS.c.user_id == _owner).scalar_subquery(), 0
)


def _for_others(*, rendered: bool, whole: bool = False) -> Select[Any]:
    message: ColumnElement[Any] = ACTIVITIES.c.message
    if not whole:
        # Large, and seldom needed.
        message = case((SHOWN.c.version == ACTIVITIES.c.version, null()), else_=message)
    kept = and_(
        SHOWN.c.user_id == ACTIVITIES.c.user_id, SHOWN.c.activity_id == ACTIVITIES.c.activity_id
    )
    return select(
        ACTIVITIES.c.activity_id,
        ACTIVITIES.c.started_at,
        message,
        ACTIVITIES.c.version,
        _told,
        select(_heard).scalar_subquery(),
        SHOWN.c.version,
        SHOWN.c.circles,
        SHOWN.c.json if rendered else SHOWN.c.message,
    ).select_from(ACTIVITIES.outerjoin(SHOWN, kept))


_ONE = {
    (rendered, whole): Statement(
        _for_others(rendered=rendered, whole=whole).where(
            _ours, _shareable, only_visible(ACTIVITIES.c.user_id, ACTIVITIES.c.audience)
        )
    )
    for rendered, whole in product((True, False), repeat=2)
}
# Of one owner it is the same for each of his activities: asked once for each audience.
_audiences = (
    func.unnest(bindparam("audiences", type_=ARRAY(SmallInteger)))
    .table_valued(column("audience", SmallInteger))
    .render_derived(name="audiences")
)
_seen = func.array(
    select(_audiences.c.audience)
    .where(only_visible(_owner, _audiences.c.audience))
    .scalar_subquery()
)


def _list(*, descending: bool, all_sports: bool, rendered: bool) -> Statement:
    place = tuple_(ACTIVITIES.c.started_at, ACTIVITIES.c.activity_id)
    after = tuple_(
        bindparam("after_at", type_=DateTime(timezone=True)), bindparam("after_id", type_=Uuid)
    )
    order = (ACTIVITIES.c.started_at, ACTIVITIES.c.activity_id)
    sports = bindparam("sports", type_=ARRAY(SmallInteger))
    return Statement(
        _for_others(rendered=rendered)
        .where(
            ACTIVITIES.c.user_id == _owner,
            _shareable,
            ACTIVITIES.c.audience == func.any(_seen),
            ACTIVITIES.c.started_at >= bindparam("started_from", type_=DateTime(timezone=True)),
            ACTIVITIES.c.started_at < bindparam("started_before", type_=DateTime(timezone=True)),
            *(() if all_sports else (ACTIVITIES.c.sport == func.any(sports),)),
            place < after if descending else place > after,
        )
        .order_by(*(each.desc() if descending else each.asc() for each in order))
        .limit(bindparam("most", type_=Integer))
    )


_LISTS = {
    which: _list(descending=which[0], all_sports=which[1], rendered=which[2])
    for which in product((True, False), repeat=3)
}
_PLACE = Statement(select(ACTIVITIES.c.started_at, ACTIVITIES.c.activity_id).where(_ours))
_forms = (
    func.unnest(
        bindparam("activities", type_=ARRAY(Uuid)),
        bindparam("versions", type_=ARRAY(BigInteger)),
        bindparam("circles", type_=ARRAY(LargeBinary)),
        bindparam("messages", type_=ARRAY(LargeBinary)),
        bindparam("jsons", type_=ARRAY(LargeBinary)),
    )
    .table_valued(
        column("activity_id", Uuid),
        column("version", BigInteger),
        column("circles", LargeBinary),
        column("message", LargeBinary),
        column("json", LargeBinary),
    )
    .render_derived(name="forms")
)
# Only beside a row that is there: what was deleted or erased meanwhile leaves nothing behind.
_keep = insert(SHOWN).from_select(
    ["user_id", "activity_id", "version", "circles", "message", "json"],
    select(_owner, *_forms.c)
    .join(
        ACTIVITIES,
        and_(ACTIVITIES.c.user_id == _owner, ACTIVITIES.c.activity_id == _forms.c.activity_id),
    )
    .where(ACTIVITIES.c.deleted_at.is_(None))
    .order_by(_forms.c.activity_id)
    .with_for_update(read=True, of=ACTIVITIES),
)
_KEEP = Statement(
    _keep.on_conflict_do_update(
        index_elements=[SHOWN.c.user_id, SHOWN.c.activity_id],
        set_={name: _keep.excluded[name] for name in ("version", "circles", "message", "json")},
        where=SHOWN.c.version <= _keep.excluded.version,
    )
)
_first = insert(TOLD_SETTINGS).values(
    user_id=bindparam("of_user"), version=bindparam("told_version")
)
_TELL = Statement(
    _first.on_conflict_do_update(
        index_elements=[TOLD_SETTINGS.c.user_id],
        set_={"version": _first.excluded.version},
        where=TOLD_SETTINGS.c.version < _first.excluded.version,
    )
)
_UNDECIDED = Statement(
    select(ACTIVITIES.c.user_id, ACTIVITIES.c.activity_id)
    .where(
        ACTIVITIES.c.audience == 0,
        ACTIVITIES.c.state == 2,
        ACTIVITIES.c.deleted_at.is_(None),
        tuple_(ACTIVITIES.c.user_id, ACTIVITIES.c.activity_id)
        > tuple_(bindparam("after_user", type_=Uuid), bindparam("after_id", type_=Uuid)),
    )
    .order_by(ACTIVITIES.c.user_id, ACTIVITIES.c.activity_id)
    .limit(bindparam("most", type_=Integer))
)


async def tell(session: Session, owner: uuid.UUID, version: int) -> None:
    """An owner's settings changed; older news changes nothing."""
    await session.run(_TELL, {"of_user": owner, "told_version": version})


class SharingStore:
    """Rows <-> what others may see."""

    def __init__(self, database: Database, relations: Relations) -> None:
        self._database = database
        self._relations = relations

    async def one(
        self, viewer: uuid.UUID, activity: SessionKey, *, rendered: bool, whole: bool = False
    ) -> ForOthers | None:
        """An activity of another person's; None where there is none, or the viewer may not.

        `whole`, with its message in any case.
        """
        values = {**await self._values(viewer, activity.user_id)}
        row = await self._database.row(
            _ONE[rendered, whole], {**values, "of_activity": activity.session_id}
        )
        return ForOthers(*row) if row else None

    async def listed(
        self, viewer: uuid.UUID, owner: uuid.UUID, window: Window, *, rendered: bool
    ) -> list[ForOthers]:
        """Those of another person's that a viewer may see, in order."""
        after_at, after_id = window.after or window.edge
        values = {
            **await self._values(viewer, owner),
            "audiences": [int(each) for each in _CAN_BE_SEEN],
            "started_from": window.started_from,
            "started_before": window.started_before,
            "after_at": after_at,
            "after_id": after_id,
            "most": window.limit,
        }
        if window.sports is not None:
            values["sports"] = list(window.sports)
        statement = _LISTS[window.descending, window.sports is None, rendered]
        return [ForOthers(*row) for row in await self._database.rows(statement, values)]

    async def place(self, activity: SessionKey) -> Place | None:
        """Where an activity stands among its owner's; None where it never was."""
        values = {"of_user": activity.user_id, "of_activity": activity.session_id}
        row = await self._database.row(_PLACE, values)
        return (row[0], row[1]) if row else None

    async def keep(self, owner: uuid.UUID, forms: Sequence[Form]) -> None:
        """Keeps what others see of some activities, for the next who asks."""
        values = {
            "of_user": owner,
            "activities": [each.activity_id for each in forms],
            "versions": [each.version for each in forms],
            "circles": [each.circles for each in forms],
            "messages": [each.message for each in forms],
            "jsons": [each.json for each in forms],
        }
        await self._database.run(_KEEP, values)

    async def undecided(self, after: SessionKey) -> list[SessionKey]:
        """The next finished activities of which it is not known for whom they are."""
        values = {
            "after_user": after.user_id,
            "after_id": after.session_id,
            "most": DECIDED_AT_ONCE,
        }
        return [SessionKey(*row) for row in await self._database.rows(_UNDECIDED, values)]

    async def _values(self, viewer: uuid.UUID, owner: uuid.UUID) -> Mapping[str, Any]:
        told = await self._relations.values(viewer)
        feed = partition_of(f"users/{owner}/settings")
        return {**told, "of_user": owner, "settings_feed": feed}
