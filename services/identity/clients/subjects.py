"""What is kept of a person's apps."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Integer, Uuid, bindparam, func, null, select, tuple_, update

from mesh.runtime.sql import Session, Statement
from mesh.runtime.subjects import Rows
from mesh.runtime.subjects.subject import Reach
from services.identity.clients.rules.clients import GONE
from services.identity.tables.clients import CLIENTS

_SECRET = "it opens doors"  # noqa: S105 - a reason, not a secret
_his = (
    select(CLIENTS.c.user_id, CLIENTS.c.client_id)
    .where(CLIENTS.c.user_id == bindparam("of_user", type_=Uuid()))
    .limit(bindparam("most", type_=Integer))
)
# Of the app nothing stays but its number: by it, what people let it do is ended.
_LEAVE = Statement(
    update(CLIENTS)
    .where(tuple_(CLIENTS.c.user_id, CLIENTS.c.client_id).in_(_his))
    .values(
        user_id=GONE,
        display_name="",
        about="",
        redirect_uris=[],
        jwks="",
        secret_hash=null(),
        old_secret_hash=null(),
        request_hash=b"",
        ended_at=func.coalesce(CLIENTS.c.ended_at, func.now()),
    )
)


@dataclass(frozen=True)
class _Apps(Rows):
    """A person's apps: with him they end, which takes as long as they have people."""

    async def erase(
        self, reach: Reach, session: Session, user: uuid.UUID, most: int
    ) -> Mapping[str, int]:
        """Leaves them to nobody, ended."""
        del reach
        return {self.table.name: await session.run(_LEAVE, {"of_user": user, "most": most})}


SUBJECTS = (
    _Apps(
        CLIENTS,
        without={
            "secret_hash": _SECRET,
            "old_secret_hash": _SECRET,
            "request_hash": "tells a repeat of the registration",
            "sector": "other people's numbers in these apps are made with it",
        },
        file="apps.jsonl",
    ),
)
