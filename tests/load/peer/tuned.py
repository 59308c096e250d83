"""The peer as a good engineer would write it who has to be fast."""

# FastAPI reads the annotations of what is declared inside `app`: they have to be real.
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from psycopg_pool import AsyncConnectionPool

from tests.load.peer import paging
from tests.load.peer.paging import After, stamp
from tests.load.peer.tokens import Tokens, owner

_COLUMNS = (
    "activity_id, state, sport, title, notes, started_at, ended_at, utc_offset_s, device, "
    "sample_count, summary, device_summary, created_at, updated_at, version, "
    "audience"
)
_GET = f"SELECT {_COLUMNS} FROM peer.activities WHERE user_id = %s AND activity_id = %s"
_LIST = (
    f"SELECT {_COLUMNS} FROM peer.activities WHERE user_id = %s "
    "AND (started_at, activity_id) < (%s, %s) ORDER BY started_at DESC, activity_id DESC LIMIT %s"
)
_STREAMS = (
    "SELECT channel, kind, body FROM peer.streams WHERE user_id = %s AND activity_id = %s "
    "ORDER BY place"
)


class _RawJson(Loader):
    """`jsonb` as it is, for orjson to put into the answer without reading it."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Any:
        # The first byte is the version of jsonb's wire format.
        return orjson.Fragment(bytes(data[1:]))


def _activity(user: str, row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "name": f"users/{user}/activities/{row[0]}",
        "state": row[1],
        "sport": row[2],
        "title": row[3],
        "notes": row[4],
        "startTime": stamp(row[5]),
        "endTime": stamp(row[6]),
        "utcOffsetS": row[7],
        "device": row[8],
        "sampleCount": str(row[9]),
        "summary": row[10],
        "deviceSummary": row[11],
        "createTime": stamp(row[12]),
        "updateTime": stamp(row[13]),
        "etag": str(row[14]),
        "audience": row[15],
    }


def _answer(document: Any) -> Response:
    content = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type="application/json")


def app(url: str, tokens: Tokens) -> FastAPI:
    """The application, on a pool of its own."""
    pool = AsyncConnectionPool(
        url,
        min_size=4,
        max_size=16,
        open=False,
        kwargs={"autocommit": True, "prepare_threshold": 0},
        configure=_configure,
    )

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    made = FastAPI(lifespan=life, openapi_url=None)
    # Not a coroutine to FastAPI: a plain function would be sent to a thread.
    User = Annotated[str, Depends(_user(tokens))]  # noqa: N806 - a type

    async def rows(statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        async with pool.connection() as connection:
            cursor = await connection.execute(statement, values, binary=True)
            found: list[tuple[Any, ...]] = await cursor.fetchall()
            return found

    @made.get("/healthz")
    async def health() -> Response:
        return Response("ok")

    @made.get("/v1/users/{of}/activities/{activity}")
    async def get(of: str, activity: uuid.UUID, user: User) -> Response:
        found = await rows(_GET, (owner(user, of), activity))
        if not found:
            raise HTTPException(404, "there is no such activity")
        return _answer({"activity": _activity(user, found[0])})

    @made.get("/v1/users/{of}/activities")
    async def some(
        of: str,
        user: User,
        size: Annotated[int, Query(alias="pageSize", ge=1, le=paging.MOST)] = 20,
        page: Annotated[str, Query(alias="pageToken")] = "",
    ) -> Response:
        after = paging.parse(page)
        found = await rows(_LIST, (owner(user, of), *after, size + 1))
        more = len(found) > size
        last = paging.token(After(found[size - 1][5], found[size - 1][0])) if more else ""
        listed = [_activity(user, row) for row in found[:size]]
        return _answer({"activities": listed, "nextPageToken": last})

    @made.get("/v1/users/{of}/activities/{activity}/streams")
    async def streams(of: str, activity: uuid.UUID, user: User) -> Response:
        found = await rows(_STREAMS, (owner(user, of), activity))
        if not found:
            raise HTTPException(404, "there is no such activity")
        (_, kind, times), *others = found
        channels = {channel: np.frombuffer(body, kind) for channel, kind, body in others}
        return _answer({"timeMs": np.frombuffer(times, kind), "channels": channels})

    return made


async def _configure(connection: Any) -> None:
    connection.adapters.register_loader("jsonb", _RawJson)


def _user(tokens: Tokens) -> Any:
    async def user(request: Request) -> str:
        return tokens.user(request)

    return user
