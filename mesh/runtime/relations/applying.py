"""Identity's events -> the copy.

What cannot be applied is never passed over in silence: whose events they are is shown
nothing until what is missing was fetched (`copying`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog
from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Uuid,
    and_,
    bindparam,
    case,
    column,
    func,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import TypeEngine

from mesh.runtime.clock import Clock
from mesh.runtime.errors import Unavailable
from mesh.runtime.handler import Handler
from mesh.runtime.relations.visible import HANDLER
from mesh.runtime.relay import partition_of
from mesh.runtime.sql import Session, Statement
from mesh.runtime.tables import ERASED_PEOPLE
from mesh.runtime.tables import RELATIONS_FEEDS as FEEDS
from mesh.runtime.tables import RELATIONS_KNOWN as KNOWN
from mesh.runtime.tables import RELATIONS_REPLICA as REPLICA
from palestra.identity.v1.events_pb2 import RelationsBeat, RelationsChanged, RelationSide
from palestra.mesh.v1.event_pb2 import Event

_log = structlog.get_logger(__name__)
_COLUMNS: Mapping[str, TypeEngine[Any]] = {
    "viewer_id": Uuid(),
    "owner_id": Uuid(),
    "follows": Boolean(),
    "close_friend": Boolean(),
    "blocked": Boolean(),
    "muted": Boolean(),
    "mute_until": DateTime(timezone=True),
    "pair_version": BigInteger(),
}
_given = (
    func.unnest(*(bindparam(name, type_=ARRAY(kind)) for name, kind in _COLUMNS.items()))
    .table_valued(*(column(name, kind) for name, kind in _COLUMNS.items()))
    .render_derived(name="given")
)
_erased = (
    select(ERASED_PEOPLE.c.user_id)
    .where(ERASED_PEOPLE.c.user_id.in_([_given.c.viewer_id, _given.c.owner_id]))
    .correlate(_given)
    .exists()
)
_insert = insert(REPLICA).from_select(
    [*_COLUMNS, "changed_at"],
    select(*_given.c, bindparam("changed_at", type_=DateTime(timezone=True)))
    .where(~_erased)
    .order_by(_given.c.viewer_id, _given.c.owner_id),
)
_APPLY = Statement(
    _insert.on_conflict_do_update(
        index_elements=[REPLICA.c.viewer_id, REPLICA.c.owner_id],
        set_={name: _insert.excluded[name] for name in (*_COLUMNS, "changed_at")},
        where=REPLICA.c.pair_version < _insert.excluded.pair_version,
    )
)
_version = bindparam("version", type_=BigInteger)
_person = insert(KNOWN).values(
    user_id=bindparam("user", type_=Uuid),
    version=_version,
    behind_to=case((bindparam("failed", type_=Boolean) | (_version > 1), _version), else_=null()),
)
_KNOW = Statement(
    _person.on_conflict_do_update(
        index_elements=[KNOWN.c.user_id],
        set_={
            "version": _version,
            "behind_to": case(
                (
                    or_(bindparam("failed", type_=Boolean), KNOWN.c.version != _version - 1),
                    _version,
                ),
                else_=KNOWN.c.behind_to,
            ),
        },
        where=KNOWN.c.version < _version,
    )
)
_beat = bindparam("beat", type_=BigInteger)
_in_order = FEEDS.c.beat == _beat - 1
_BEAT = Statement(
    update(FEEDS)
    .where(FEEDS.c.feed == bindparam("of_feed"), FEEDS.c.beat < _beat)
    .values(
        beat=_beat,
        heard_at=bindparam("heard_at", type_=DateTime(timezone=True)),
        behind=or_(FEEDS.c.behind, ~_in_order),
        copying=and_(FEEDS.c.copying, _in_order),
    )
)


async def apply(session: Session, messages: Iterable[RelationsChanged], now: datetime) -> None:
    """Brings pairs to what the messages say, unless more is known of them already.

    Raises:
        ValueError: a message names somebody by no name of ours.
    """
    rows = [row for message in messages for row in _rows(message)]
    if rows:
        columns = dict(zip(_COLUMNS, (list(each) for each in zip(*rows, strict=True)), strict=True))
        await session.run(_APPLY, {**columns, "changed_at": now})


@dataclass(frozen=True, slots=True)
class Applying:
    """The handlers of a service that keeps a copy."""

    clock: Clock

    @property
    def handlers(self) -> list[Handler]:
        """For the service to declare."""
        return [
            Handler(HANDLER, RelationsChanged, self._changed, commutative=True),
            Handler(f"{HANDLER} beats", RelationsBeat, self._beaten, commutative=True),
        ]

    async def _changed(self, session: Session, message: RelationsChanged, event: Event) -> None:
        user, failed = uuid.UUID(event.key.split("/")[1]), False
        try:
            async with session.transaction():
                await apply(session, [message], self.clock())
        except (Unavailable, psycopg.OperationalError):
            raise
        except Exception:
            _log.exception("relations_not_applied", event_id=event.id)
            failed = True
        values = {"user": user, "version": event.key_version, "failed": failed}
        await session.run(_KNOW, values)

    async def _beaten(self, session: Session, _message: RelationsBeat, event: Event) -> None:
        sent_at = event.occurred_at.ToDatetime(UTC)
        values = {
            "of_feed": partition_of(event.key),
            "beat": event.key_version,
            # No clock that runs ahead makes the copy look fresher than it is.
            "heard_at": min(sent_at, self.clock()),
        }
        await session.run(_BEAT, values)


def _rows(message: RelationsChanged) -> list[tuple[Any, ...]]:
    user, other = (_user(name) for name in (message.user, message.other))
    return [
        _row(user, other, message.outgoing, message.incoming, message.pair_version),
        _row(other, user, message.incoming, message.outgoing, message.pair_version),
    ]


def _row(
    viewer: uuid.UUID, owner: uuid.UUID, his: RelationSide, owners: RelationSide, version: int
) -> tuple[Any, ...]:
    until = his.mute_until_time.ToDatetime(UTC) if his.HasField("mute_until_time") else None
    return (
        *(viewer, owner),
        his.follows,
        owners.close_friend,
        his.blocks or owners.blocks,
        his.mutes,
        until,
        version,
    )


def _user(name: str) -> uuid.UUID:
    collection, _, user = name.partition("/")
    if collection != "users":
        raise ValueError(f"{name!r} is no person's name")
    return uuid.UUID(user)
