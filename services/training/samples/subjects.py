"""What is kept of a person's samples: given out as numbers, a file for each activity."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Uuid, bindparam, select

from mesh.runtime import rendering
from mesh.runtime.sql import Session, Statement
from mesh.runtime.subjects import Piece, Reach, Rows
from palestra.training.v1 import telemetry_pb2
from services.training.keys import SessionKey
from services.training.samples.flow import SampleFlow
from services.training.samples.json_streams import streams_json
from services.training.samples.rules.errors import ActivityNotFound
from services.training.samples.store import SampleStore
from services.training.tables import CHUNKS, SESSIONS, STREAMS

PAGE = 100
_IDS = Statement(
    select(SESSIONS.c.session_id)
    .where(
        SESSIONS.c.user_id == bindparam("of_user", type_=Uuid()),
        SESSIONS.c.session_id > bindparam("after", type_=Uuid()),
    )
    .order_by(SESSIONS.c.session_id)
    .limit(PAGE)
)


@dataclass(frozen=True)
class Samples:
    """`samples/{activity}.json`: `timeMs` since the start, and each channel's values."""

    @property
    def name(self) -> str:
        """Of cursors."""
        return "samples"

    @property
    def tables(self) -> frozenset[str]:
        """Those of live sessions, and those of finished ones."""
        return frozenset({CHUNKS.name, STREAMS.name})

    async def export(self, reach: Reach, user: uuid.UUID, after: str) -> AsyncIterator[Piece]:
        """An activity at a time; those deleted have none."""
        flow = SampleFlow(SampleStore(reach.database))
        place = uuid.UUID(after) if after else uuid.UUID(int=0)
        while True:
            rows = await reach.database.rows(_IDS, {"of_user": user, "after": place})
            for (place,) in rows:
                try:
                    found = await flow.samples(SessionKey(user, place), (), 0)
                except ActivityNotFound:
                    continue
                content = streams_json(found.streams, found.decimals)
                yield Piece(f"samples/{place}.json", content, str(place))
            if len(rows) < PAGE:
                return

    async def erase(
        self, reach: Reach, session: Session, user: uuid.UUID, most: int
    ) -> Mapping[str, int]:
        """Their rows: a few of a live session may be larger than all else."""
        erased: dict[str, int] = {}
        for each in self._rows:
            erased |= await each.erase(reach, session, user, most)
        return erased

    @cached_property
    def _rows(self) -> tuple[Rows, ...]:
        why = {"body": "given out as numbers"}
        return Rows(CHUNKS, without=why), Rows(STREAMS, without=why)


def _description(content: bytes) -> object:
    return rendering.dict_of(telemetry_pb2.SessionDescription.FromString(content))


# The session's row first: it is what lets a device write.
SUBJECTS = (
    Rows(
        SESSIONS,
        without={"fingerprint": "tells one description from another"},
        shown={"description": _description},
    ),
    Samples(),
)
