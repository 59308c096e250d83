"""The statements of `store`."""

from __future__ import annotations

import uuid
from functools import reduce
from operator import add
from typing import Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    DateTime,
    Select,
    Uuid,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.dialects.postgresql import insert as upsert

from mesh.runtime import outbox
from mesh.runtime.sql import Statement
from mesh.runtime.tables import ERASED_PEOPLE
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.relations import RELATION_BEATS, RELATION_PAIRS, RELATION_PEOPLE

FORGOTTEN_AT_ONCE: Final = 1_000
SIDE: Final = ("followed_at", "requested_at", "blocked_at", "muted_at", "mute_until", "close_at")
COUNTS: Final = (
    *("following", "followers", "requested", "requests"),
    *("blocks", "mutes", "close_friends"),
)
_pairs, _people = RELATION_PAIRS.c, RELATION_PEOPLE.c
_SIDES = [_pairs[name] for name in (*SIDE, *(f"their_{each}" for each in SIDE))]
_PERSON = [_people[name] for name in ("user_id", "version", "approval", *COUNTS)]
_of_user = bindparam("of_user", type_=Uuid)
_both = bindparam("both", type_=ARRAY(Uuid))


def _not_erased(user: ColumnElement[uuid.UUID]) -> ColumnElement[bool]:
    """His account goes last of all that is erased."""
    return ~exists().where(ERASED_PEOPLE.c.user_id == user)


ENSURE = Statement(
    upsert(RELATION_PEOPLE)
    .from_select(
        ["user_id"],
        select(ACCOUNTS.c.user_id)
        .where(ACCOUNTS.c.user_id == func.any(_both), _not_erased(ACCOUNTS.c.user_id))
        .order_by(ACCOUNTS.c.user_id),
        include_defaults=False,
    )
    .on_conflict_do_nothing()
)
_there = RELATION_PEOPLE.alias("there")
# Both or neither: one alone, held while the other is made, could be waited for crosswise.
LOCK = Statement(
    select(*_PERSON)
    .where(
        _people.user_id == func.any(_both),
        ~_people.erased,
        select(func.count())
        .where(_there.c.user_id == func.any(_both), ~_there.c.erased)
        .scalar_subquery()
        == 2,
    )
    .order_by(_people.user_id)
    .with_for_update()
)
# Of who is being erased, too.
LOCK_ANY = Statement(
    select(*_PERSON)
    .where(_people.user_id == func.any(_both))
    .order_by(_people.user_id)
    .with_for_update()
)
_this = and_(_pairs.user_id == _of_user, _pairs.other_id == bindparam("of_other", type_=Uuid))
PAIR = Statement(select(*_SIDES).where(_this))
EXISTING_PAIR = Statement(
    select(*_SIDES)
    .select_from(ACCOUNTS.outerjoin(RELATION_PAIRS, _this))
    .where(
        ACCOUNTS.c.user_id == bindparam("of_other", type_=Uuid),
        _not_erased(ACCOUNTS.c.user_id),
    )
)
PAIRS = Statement(
    select(_pairs.other_id, *_SIDES).where(
        _pairs.user_id == _of_user,
        _pairs.other_id == func.any(bindparam("others", type_=ARRAY(Uuid))),
    )
)
# Of many at once only what visibility asks, as the bits of `rules.Bonds`: times of a hundred
# pairs cost more to read than to look up.
_mutes = and_(
    _pairs.muted_at.is_not(None),
    or_(_pairs.mute_until.is_(None), _pairs.mute_until > bindparam("now")),
)
_bits = (
    or_(_pairs.blocked_at.is_not(None), _pairs.their_blocked_at.is_not(None)),
    _pairs.their_close_at.is_not(None),
    _pairs.followed_at.is_not(None),
    _pairs.requested_at.is_not(None),
    _mutes,
)
_bonds = reduce(add, [case((bit, 1 << place), else_=0) for place, bit in enumerate(_bits)])
_asked_of = bindparam("people", type_=ARRAY(Uuid))
THERE: Final = -1
ERASED: Final = -2
# Three that each go by a key, put together by who asks: a join of them is planned by how many
# there were, and takes five times as long where that is not known yet.
BONDS = Statement(
    union_all(
        select(_pairs.other_id, _bonds).where(
            _pairs.user_id == _of_user, _pairs.other_id == func.any(_asked_of)
        ),
        select(ACCOUNTS.c.user_id, literal(THERE)).where(ACCOUNTS.c.user_id == func.any(_asked_of)),
        select(ERASED_PEOPLE.c.user_id, literal(ERASED)).where(
            ERASED_PEOPLE.c.user_id == func.any(_asked_of)
        ),
    )
)
PERSON = Statement(select(*_PERSON).where(_people.user_id == _of_user))
APPROVAL = Statement(
    update(RELATION_PEOPLE)
    .where(_people.user_id == _of_user, ~_people.erased)
    .values(approval=bindparam("approval"))
)
CLOSE = Statement(update(RELATION_PEOPLE).where(_people.user_id == _of_user).values(erased=True))
_others = bindparam("others", type_=ARRAY(Uuid))
DELETE = Statement(
    delete(RELATION_PAIRS).where(
        or_(
            and_(_pairs.user_id == _of_user, _pairs.other_id == func.any(_others)),
            and_(_pairs.other_id == _of_user, _pairs.user_id == func.any(_others)),
        )
    )
)


def _moved(number: int) -> CTE:
    """One of both people, with his counts and version after the change."""
    names = ("version", *COUNTS)
    return (
        update(RELATION_PEOPLE)
        .where(_people.user_id == bindparam(f"user_{number}", type_=Uuid))
        .values({name: bindparam(f"{name}_{number}") for name in names})
        .returning(
            func.concat("users/", _people.user_id, "/relations").label("key"),
            _people.version.label("key_version"),
        )
        .cte(f"moved_{number}")
    )


def _kept() -> CTE:
    """Both rows of a pair."""
    sides = (*SIDE, *(f"their_{name}" for name in SIDE))
    same = ("pair_version", "changed_at", "empty")
    rows = [
        {
            "user_id": bindparam(f"user_{number}", type_=Uuid),
            "other_id": bindparam(f"user_{1 - number}", type_=Uuid),
            **{
                name: bindparam(f"{name}_{number}", type_=DateTime(timezone=True)) for name in sides
            },
            **{name: bindparam(name, type_=_pairs[name].type) for name in same},
        }
        for number in (0, 1)
    ]
    made = upsert(RELATION_PAIRS).values(rows)
    return (
        made.on_conflict_do_update(
            index_elements=[_pairs.user_id, _pairs.other_id],
            set_={name: made.excluded[name] for name in (*sides, *same)},
        )
        .returning(literal(1))
        .cte("kept")
    )


def _save() -> Statement:
    moved = [_moved(0), _moved(1)]
    both = union_all(*(select(each.c.key, each.c.key_version) for each in moved)).cte("both")
    return Statement(outbox.publishing_all(both).add_cte(_kept()))


SAVE = _save()


def _list(name: str) -> Statement:
    place = tuple_(_pairs[name], _pairs.other_id)
    before = tuple_(
        bindparam("before_at", type_=DateTime(timezone=True)), bindparam("before_id", type_=Uuid)
    )
    return Statement(
        select(_pairs.other_id, *_SIDES)
        .where(_pairs.user_id == _of_user, _pairs[name].is_not(None), place < before)
        .order_by(_pairs[name].desc(), _pairs.other_id.desc())
        .limit(bindparam("most"))
    )


LISTS: Final = {
    name: _list(name)
    for name in (
        *("followed_at", "their_followed_at", "their_requested_at"),
        *("blocked_at", "muted_at", "close_at"),
    )
}
_old = (
    select(_pairs.user_id, _pairs.other_id)
    .where(_pairs.empty, _pairs.changed_at < bindparam("before", type_=DateTime(timezone=True)))
    .limit(FORGOTTEN_AT_ONCE)
)
FORGET = Statement(
    delete(RELATION_PAIRS).where(tuple_(_pairs.user_id, _pairs.other_id).in_(_old), _pairs.empty)
)

_keys = func.unnest(bindparam("event_keys", type_=ARRAY(TEXT))).column_valued("key")
_beat = upsert(RELATION_BEATS).from_select(["key", "version"], select(_keys, literal(1)))
_beaten = (
    _beat.on_conflict_do_update(
        index_elements=[RELATION_BEATS.c.key], set_={"version": RELATION_BEATS.c.version + 1}
    )
    .returning(
        RELATION_BEATS.c.key,
        RELATION_BEATS.c.version.label("key_version"),
    )
    .cte("beaten")
)
BEAT = Statement(outbox.publishing_all(_beaten))
BEATS = Statement(select(RELATION_BEATS.c.key, RELATION_BEATS.c.version))

PEOPLE = Statement(
    select(_people.user_id, _people.version)
    .where(_people.user_id > bindparam("after", type_=Uuid), _people.version > 0)
    .order_by(_people.user_id)
    .limit(bindparam("most"))
)
_record = (_pairs.user_id, _pairs.other_id, _pairs.pair_version, *_SIDES)


def _recorded(select_: Select[tuple[object, ...]]) -> Statement:
    return Statement(select_.order_by(_pairs.user_id, _pairs.other_id).limit(bindparam("most")))


RECORDED = _recorded(
    select(*_record).where(
        tuple_(_pairs.user_id, _pairs.other_id)
        > tuple_(bindparam("after_user", type_=Uuid), bindparam("after_other", type_=Uuid)),
        _pairs.user_id < _pairs.other_id,
    )
)
RECORDED_OF = _recorded(
    select(*_record).where(
        _pairs.user_id == _of_user, _pairs.other_id > bindparam("after", type_=Uuid)
    )
)
ALL_OF = _recorded(select(*_record).where(_pairs.user_id == _of_user))
