"""Consents in SQL: the change, its record and its event are one statement.

Of two requests with one id that meet, the second finds the record: in what it sees, or in the
key that it would write.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from mesh.runtime import outbox
from mesh.runtime.sql import Conflict, Database, Row, Session, Statement
from services.identity.consents.rules import (
    MOST_RECORDS,
    Agreed,
    Evidence,
    Held,
    Place,
    Purpose,
    Record,
)
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.consents import CONSENT_RECORDS, CONSENTS

_time = DateTime(timezone=True)
_user: Any = bindparam("of_user", type_=Uuid())
_record: Any = bindparam("record_id", type_=Uuid())
_now: Any = bindparam("now", type_=_time)
_evidence: dict[str, Any] = {
    "request_hash": bindparam("request_hash", type_=LargeBinary()),
    "at": _now,
    "client_id": bindparam("client_id", type_=Text()),
    "session_id": bindparam("session_id", type_=Uuid()),
    "device": bindparam("device", type_=Text()),
    "network": bindparam("network", type_=Text()),
}
_texts = (
    func.unnest(
        bindparam("purposes", type_=ARRAY(SmallInteger)),
        bindparam("versions", type_=ARRAY(Integer)),
        bindparam("languages", type_=ARRAY(Text)),
        bindparam("hashes", type_=ARRAY(LargeBinary)),
        bindparam("keys", type_=ARRAY(Text)),
    )
    .table_valued(
        column("purpose", SmallInteger),
        column("version", Integer),
        column("language", Text),
        column("sha256", LargeBinary),
        column("key", Text),
    )
    .render_derived(name="texts")
)
_of_request = select(CONSENT_RECORDS.c.purpose).where(
    CONSENT_RECORDS.c.user_id == _user, CONSENT_RECORDS.c.record_id == _record
)
_room = (
    select(func.count())
    .select_from(CONSENT_RECORDS)
    .where(CONSENT_RECORDS.c.user_id == _user)
    .scalar_subquery()
) < MOST_RECORDS
_first = upsert(CONSENTS).from_select(
    ["user_id", "purpose", "given", "version", "changed_at", "record_id", "revision"],
    select(
        ACCOUNTS.c.user_id,
        _texts.c.purpose,
        literal(True, Boolean),
        _texts.c.version,
        _now,
        _record,
        literal(1, BigInteger),
    )
    .select_from(ACCOUNTS)
    .join(_texts, literal(True))
    .where(ACCOUNTS.c.user_id == _user, ~_of_request.exists(), _room)
    # In one order, so that two never wait for each other.
    .order_by(_texts.c.purpose),
)
_given = (
    _first.on_conflict_do_update(
        index_elements=[CONSENTS.c.user_id, CONSENTS.c.purpose],
        set_={
            "given": True,
            "version": _first.excluded.version,
            "changed_at": _first.excluded.changed_at,
            "record_id": _first.excluded.record_id,
            "revision": CONSENTS.c.revision + 1,
        },
        # What was agreed to already stays as it was.
        where=or_(~CONSENTS.c.given, CONSENTS.c.version < _first.excluded.version),
    )
    .returning(CONSENTS.c.user_id, CONSENTS.c.purpose, CONSENTS.c.revision)
    .cte("given")
)
_recorded = [
    *("user_id", "record_id", "purpose", "revision", "given", "version", "language", "sha256"),
    *_evidence,
]
_remembered = (
    insert(CONSENT_RECORDS)
    .from_select(
        _recorded,
        select(
            _given.c.user_id,
            _record,
            _given.c.purpose,
            _given.c.revision,
            literal(True, Boolean),
            _texts.c.version,
            _texts.c.language,
            _texts.c.sha256,
            *_evidence.values(),
        ).join_from(_given, _texts, _texts.c.purpose == _given.c.purpose),
    )
    .cte("remembered")
)
_changed = (
    select(_texts.c.key, _given.c.revision.label("key_version"))
    .join_from(_given, _texts, _texts.c.purpose == _given.c.purpose)
    .cte("changed")
)
_GIVE = Statement(outbox.publishing_all(_changed).add_cte(_remembered))

_this = (CONSENTS.c.user_id == _user) & (
    CONSENTS.c.purpose == bindparam("purpose", type_=SmallInteger())
)
_taken = (
    update(CONSENTS)
    .where(_this, CONSENTS.c.given, ~_of_request.exists())
    .values(given=False, changed_at=_now, record_id=_record, revision=CONSENTS.c.revision + 1)
    .returning(CONSENTS.c.user_id, CONSENTS.c.purpose, CONSENTS.c.version, CONSENTS.c.revision)
    .cte("taken")
)
_newest = (
    select(CONSENT_RECORDS.c.language, CONSENT_RECORDS.c.sha256)
    .where(
        CONSENT_RECORDS.c.user_id == _user,
        CONSENT_RECORDS.c.purpose == bindparam("purpose", type_=SmallInteger()),
        CONSENT_RECORDS.c.given,
    )
    .order_by(CONSENT_RECORDS.c.revision.desc())
    .limit(1)
    .cte("newest")
)
_noted = (
    insert(CONSENT_RECORDS)
    .from_select(
        _recorded,
        select(
            _taken.c.user_id,
            _record,
            _taken.c.purpose,
            _taken.c.revision,
            literal(False, Boolean),
            _taken.c.version,
            _newest.c.language,
            _newest.c.sha256,
            *_evidence.values(),
        ).join_from(_taken, _newest, literal(True)),
    )
    .cte("noted")
)
_WITHDRAW = Statement(outbox.publishing(_taken, _taken.c.revision).add_cte(_noted))

_held = (
    CONSENTS.c.user_id,
    CONSENTS.c.purpose,
    CONSENTS.c.given,
    CONSENTS.c.version,
    CONSENTS.c.changed_at,
    CONSENTS.c.record_id,
    CONSENTS.c.revision,
)
_HELD = Statement(select(*_held).where(CONSENTS.c.user_id == _user).limit(len(Purpose)))
_CHECK = Statement(
    select(*_held).where(
        CONSENTS.c.user_id == any_(bindparam("users", type_=ARRAY(Uuid))),
        CONSENTS.c.purpose == bindparam("purpose", type_=SmallInteger()),
    )
)
_ROOM = Statement(select(_room))
_COUNTRY = Statement(select(ACCOUNTS.c.country).where(ACCOUNTS.c.user_id == _user))
_HASHES = Statement(
    select(CONSENT_RECORDS.c.purpose, CONSENT_RECORDS.c.request_hash).where(
        CONSENT_RECORDS.c.user_id == _user, CONSENT_RECORDS.c.record_id == _record
    )
)
_record_columns = [
    CONSENT_RECORDS.c[name]
    for name in (
        *("user_id", "purpose", "record_id", "revision"),
        *("given", "version", "language", "sha256", "at"),
    )
] + [CONSENT_RECORDS.c[name] for name in ("client_id", "session_id", "device", "network")]
_RECORD = Statement(
    select(*_record_columns).where(
        CONSENT_RECORDS.c.user_id == _user,
        CONSENT_RECORDS.c.purpose == bindparam("purpose", type_=SmallInteger()),
        CONSENT_RECORDS.c.record_id == _record,
    )
)
_place = (CONSENT_RECORDS.c.at, CONSENT_RECORDS.c.revision, CONSENT_RECORDS.c.purpose)
_RECORDS = Statement(
    select(*_record_columns)
    .where(
        CONSENT_RECORDS.c.user_id == _user,
        CONSENT_RECORDS.c.purpose == any_(bindparam("purposes", type_=ARRAY(SmallInteger))),
        tuple_(*_place)
        < tuple_(
            bindparam("before_at", type_=_time),
            bindparam("before_revision", type_=BigInteger()),
            bindparam("before_purpose", type_=SmallInteger()),
        ),
    )
    .order_by(*(each.desc() for each in _place))
    .limit(bindparam("most", type_=Integer))
)


class Change:
    """One request: its id, its content's hash, when and how."""

    def __init__(
        self,
        user_id: uuid.UUID,
        record_id: uuid.UUID,
        request_hash: bytes,
        now: datetime,
        evidence: Evidence,
    ) -> None:
        self.user_id = user_id
        self.record_id = record_id
        self.request_hash = request_hash
        self.values: Mapping[str, Any] = {
            "of_user": user_id,
            "record_id": record_id,
            "request_hash": request_hash,
            "now": now,
            "client_id": evidence.client,
            "session_id": evidence.session_id,
            "device": evidence.device,
            "network": evidence.network,
        }


class ConsentStore:
    """Rows of consents <-> the domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def country(self, user_id: uuid.UUID) -> str | None:
        """Where a person said that he lives, empty where he did not; None for nobody."""
        row = await self._database.row(_COUNTRY, {"of_user": user_id})
        return (row[0] or "") if row else None

    async def held(self, user_id: uuid.UUID) -> dict[Purpose, Held]:
        """What a person says to each purpose."""
        rows = await self._database.rows(_HELD, {"of_user": user_id})
        return {found.purpose: found for found in map(_of_row, rows)}

    async def of_people(self, users: Sequence[uuid.UUID], purpose: Purpose) -> list[Held]:
        """What some people say to one; of those who said nothing there is nothing."""
        values = {"users": list(users), "purpose": purpose.value}
        return [_of_row(row) for row in await self._database.rows(_CHECK, values)]

    async def known(self, change: Change) -> dict[Purpose, bytes]:
        """Of a request that had an effect: which purposes, and the hash of what was asked."""
        rows = await self._database.rows(_HASHES, change.values)
        return {Purpose(purpose): bytes(digest) for purpose, digest in rows}

    async def is_full(self, user_id: uuid.UUID) -> bool:
        """Whether a person's history has as much as there may be."""
        row = await self._database.row(_ROOM, {"of_user": user_id})
        return row is not None and not row[0]

    async def give(
        self,
        change: Change,
        texts: Sequence[Agreed],
        events: Sequence[outbox.Message],
        session: Session | None = None,
    ) -> None:
        """Keeps what is new of it, and tells; an event for each text, in the same order.

        Nothing where the request had its effect before, there is no such person, or his
        history is full. On `session`, where it is part of another change.
        """
        values = {**change.values, **_columns(texts), "keys": [each.key for each in events]}
        values |= outbox.values_of_all(events)
        if session is not None:
            await session.run(_GIVE, values)
            return
        with _unless_its_twin_was_faster():
            await self._database.run(_GIVE, values)

    async def withdraw(self, change: Change, purpose: Purpose, event: outbox.Message) -> None:
        """Takes back what is given, and tells; nothing where the request did so before."""
        values = {**change.values, "purpose": purpose.value, **outbox.values(event)}
        with _unless_its_twin_was_faster():
            await self._database.run(_WITHDRAW, values)

    async def record(
        self, user_id: uuid.UUID, purpose: Purpose, record_id: uuid.UUID
    ) -> Record | None:
        """One of the history."""
        values = {"of_user": user_id, "purpose": purpose.value, "record_id": record_id}
        row = await self._database.row(_RECORD, values)
        return _record_of(row) if row else None

    async def records(
        self, user_id: uuid.UUID, purposes: Sequence[Purpose], before: Place, most: int
    ) -> list[Record]:
        """The history before a place, the newest first."""
        values = {
            "of_user": user_id,
            "purposes": [each.value for each in purposes],
            "before_at": before[0],
            "before_revision": before[1],
            "before_purpose": before[2],
            "most": most,
        }
        return [_record_of(row) for row in await self._database.rows(_RECORDS, values)]


@contextmanager
def _unless_its_twin_was_faster() -> Iterator[None]:
    try:
        yield
    except Conflict as conflict:
        if conflict.constraint != "consent_records_pkey":
            raise


def _columns(texts: Sequence[Agreed]) -> dict[str, Any]:
    return {
        "purposes": [each.purpose.value for each in texts],
        "versions": [each.version for each in texts],
        "languages": [each.language for each in texts],
        "hashes": [each.sha256 for each in texts],
    }


def _of_row(row: Row) -> Held:
    user_id, purpose, *rest = row
    return Held(user_id, Purpose(purpose), *rest)


def _record_of(row: Row) -> Record:
    user_id, purpose, record_id, revision, given, version, language, sha256, at, *evidence = row
    client, session_id, device, network = evidence
    return Record(
        user_id,
        Purpose(purpose),
        record_id,
        revision,
        given,
        version,
        language,
        bytes(sha256),
        at,
        Evidence(client, session_id, device, network),
    )
