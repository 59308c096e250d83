"""The peer in its usual form: SQLAlchemy's ORM, pydantic's response models."""

# FastAPI reads the annotations of what is declared inside `app`: they have to be real.
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from sqlalchemy import Float, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.load.peer import paging
from tests.load.peer.paging import After, stamp
from tests.load.peer.tokens import Tokens, owner


class Base(DeclarativeBase):
    """The tables of the peer."""


class ActivityRow(Base):
    """A workout."""

    __tablename__ = "activities"
    __table_args__ = {"schema": "peer"}  # noqa: RUF012 - so SQLAlchemy wants it

    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    activity_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    sport: Mapped[str]
    title: Mapped[str]
    notes: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    utc_offset_s: Mapped[int]
    device: Mapped[str]
    sample_count: Mapped[int]
    summary: Mapped[dict[str, Any]] = mapped_column(JSONB)
    device_summary: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int]
    audience: Mapped[str]


class StreamRow(Base):
    """A channel of a workout."""

    __tablename__ = "streams"
    __table_args__ = {"schema": "peer"}  # noqa: RUF012 - so SQLAlchemy wants it

    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    activity_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    points: Mapped[list[float | None]] = mapped_column(ARRAY(Float))


class Model(BaseModel):
    """lowerCamel outside, as the answers have it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Activity(Model):
    """A workout as it is answered."""

    name: str
    state: str
    sport: str
    title: str
    notes: str
    start_time: str
    end_time: str
    utc_offset_s: int
    device: str
    sample_count: str
    summary: dict[str, Any]
    device_summary: dict[str, Any]
    create_time: str
    update_time: str
    etag: str
    audience: str


class One(Model):
    """The answer to a get."""

    activity: Activity


class Page(Model):
    """The answer to a list."""

    activities: list[Activity]
    next_page_token: str


class Streams(Model):
    """The answer to the streams."""

    time_ms: list[int]
    channels: dict[str, list[float | None]]


def _activity(row: ActivityRow) -> Activity:
    return Activity(
        name=f"users/{row.user_id}/activities/{row.activity_id}",
        state=row.state,
        sport=row.sport,
        title=row.title,
        notes=row.notes,
        start_time=stamp(row.started_at),
        end_time=stamp(row.ended_at),
        utc_offset_s=row.utc_offset_s,
        device=row.device,
        sample_count=str(row.sample_count),
        summary=row.summary,
        device_summary=row.device_summary,
        create_time=stamp(row.created_at),
        update_time=stamp(row.updated_at),
        etag=str(row.version),
        audience=row.audience,
    )


def app(url: str, tokens: Tokens) -> FastAPI:
    """The application, on an engine of its own."""
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=16
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    made = FastAPI(openapi_url=None)

    async def user_of(request: Request) -> str:
        return tokens.user(request)

    async def session_of() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    User = Annotated[str, Depends(user_of)]  # noqa: N806 - a type
    Session = Annotated[AsyncSession, Depends(session_of)]  # noqa: N806 - a type

    @made.get("/v1/users/{of}/activities/{activity}")
    async def get(of: str, activity: uuid.UUID, user: User, session: Session) -> One:
        found = await session.get(ActivityRow, (uuid.UUID(owner(user, of)), activity))
        if found is None:
            raise HTTPException(404, "there is no such activity")
        return One(activity=_activity(found))

    @made.get("/v1/users/{of}/activities")
    async def some(
        of: str,
        user: User,
        session: Session,
        size: Annotated[int, Query(alias="pageSize", ge=1, le=paging.MOST)] = 20,
        page: Annotated[str, Query(alias="pageToken")] = "",
    ) -> Page:
        place = tuple_(ActivityRow.started_at, ActivityRow.activity_id)
        asked = (
            select(ActivityRow)
            .where(ActivityRow.user_id == uuid.UUID(owner(user, of)), place < paging.parse(page))
            .order_by(ActivityRow.started_at.desc(), ActivityRow.activity_id.desc())
            .limit(size + 1)
        )
        found = (await session.scalars(asked)).all()
        last = found[size - 1] if len(found) > size else None
        return Page(
            activities=[_activity(row) for row in found[:size]],
            next_page_token=paging.token(After(last.started_at, last.activity_id)) if last else "",
        )

    @made.get("/v1/users/{of}/activities/{activity}/streams")
    async def streams(of: str, activity: uuid.UUID, user: User, session: Session) -> Streams:
        asked = (
            select(StreamRow)
            .where(
                StreamRow.user_id == uuid.UUID(owner(user, of)),
                StreamRow.activity_id == activity,
            )
            .order_by(StreamRow.place)
        )
        found = (await session.scalars(asked)).all()
        if not found:
            raise HTTPException(404, "there is no such activity")
        times, *others = found
        return Streams(
            time_ms=[int(point) for point in times.points if point is not None],
            channels={row.channel: row.points for row in others},
        )

    return made
