"""Who sees whose things, as a condition of SQL: of one check and of a whole list the same.

The copy answers only where it is known to be good: its beats are fresh, nothing of the
viewer's is missing, and it has come as far as the call asks. Where it is not, the viewer
sees his own things and nobody else's. The rules are identity's
(`services/identity/visibility/rules.py`); a test compares them, case by case.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    SmallInteger,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    column,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime.consistency import Reached
from mesh.runtime.relations.feeds import BEHIND_AFTER_S, feed_of, key_of
from mesh.runtime.tables import DEAD_LETTERS
from mesh.runtime.tables import RELATIONS_FEEDS as FEEDS
from mesh.runtime.tables import RELATIONS_KNOWN as KNOWN
from mesh.runtime.tables import RELATIONS_REPLICA as REPLICA

HANDLER: Final = "relations"
"""The name of the handler that keeps the copy."""
NOBODY: Final = uuid.UUID(int=0)


class Audience(enum.IntEnum):
    """For whom something is; numbered as in the contract."""

    UNSPECIFIED = 0
    """Nobody but the owner."""
    EVERYONE = 1
    FOLLOWERS = 2
    """With close friends among them."""
    CLOSE_FRIENDS = 3
    NOBODY = 4
    GROUPS = 5
    """Relations know of no groups: nobody but the owner, unless its service knows better."""


_viewer = bindparam("relations_viewer", type_=Uuid)
_now = bindparam("relations_now", type_=DateTime(timezone=True))


def _good() -> ColumnElement[bool]:
    """Whether the copy may answer this viewer; asked once for a statement."""
    asked = (
        func.unnest(
            bindparam("relations_users", type_=ARRAY(Uuid)),
            bindparam("relations_versions", type_=ARRAY(BigInteger)),
        )
        .table_valued(column("user_id", Uuid), column("version", BigInteger))
        .render_derived(name="asked")
    )
    known = KNOWN.alias("known_of_asked")
    version = func.coalesce(
        select(KNOWN.c.version).where(KNOWN.c.user_id == _viewer).scalar_subquery(), 0
    )
    heard = exists().where(
        FEEDS.c.feed == bindparam("relations_feed", type_=SmallInteger),
        ~FEEDS.c.behind,
        FEEDS.c.heard_at >= bindparam("relations_heard_since", type_=DateTime(timezone=True)),
    )
    missing = exists().where(KNOWN.c.user_id == _viewer, KNOWN.c.behind_to.is_not(None))
    given_up = exists().where(
        DEAD_LETTERS.c.handler == HANDLER,
        DEAD_LETTERS.c.key == bindparam("relations_key", type_=Text),
        DEAD_LETTERS.c.key_version > version,
    )
    not_reached = exists(
        select(asked.c.user_id)
        .select_from(asked.outerjoin(known, known.c.user_id == asked.c.user_id))
        .where(
            or_(
                func.coalesce(known.c.version, 0) < asked.c.version,
                known.c.behind_to.is_not(None),
            )
        )
    )
    anonymous = bindparam("relations_anonymous", type_=Boolean)
    fresh = and_(heard, ~missing, ~given_up, ~not_reached)
    return select(or_(anonymous, fresh)).scalar_subquery()


def good() -> ColumnElement[bool]:
    """Whether the copy may answer at all, with the values of `values`."""
    return _good()


def only_visible(
    owner: ColumnElement[uuid.UUID], audience: ColumnElement[int]
) -> ColumnElement[bool]:
    """The condition of rows that a viewer sees, by whose they are and for whom.

    `audience` is a column, or `literal(Audience.FOLLOWERS)`. The statement's values come
    from `Relations.values`.
    """
    muted = and_(
        bindparam("relations_unmuted", type_=Boolean),
        REPLICA.c.muted,
        or_(REPLICA.c.mute_until.is_(None), REPLICA.c.mute_until > _now),
    )
    trusted = case(
        (or_(REPLICA.c.blocked, muted), False),
        (audience == Audience.EVERYONE, True),
        (audience == Audience.FOLLOWERS, or_(REPLICA.c.follows, REPLICA.c.close_friend)),
        (audience == Audience.CLOSE_FRIENDS, REPLICA.c.close_friend),
        else_=False,
    )
    found = (
        select(trusted)
        .where(REPLICA.c.viewer_id == _viewer, REPLICA.c.owner_id == owner)
        .correlate_except(REPLICA)
        .scalar_subquery()
    )
    return or_(owner == _viewer, and_(_good(), func.coalesce(found, audience == Audience.EVERYONE)))


def values(
    viewer: uuid.UUID | None, asked: Sequence[Reached], now: datetime, *, unmuted: bool
) -> Mapping[str, Any]:
    """What `only_visible` and `good` are told."""
    who = viewer or NOBODY
    return {
        "relations_viewer": who,
        "relations_key": key_of(who),
        "relations_feed": feed_of(who),
        "relations_anonymous": viewer is None,
        "relations_now": now,
        "relations_heard_since": now - timedelta(seconds=BEHIND_AFTER_S),
        "relations_users": [each.user for each in asked],
        "relations_versions": [each.version for each in asked],
        "relations_unmuted": unmuted,
    }
