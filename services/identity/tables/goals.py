"""What people want to reach."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Double,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from mesh.runtime.kept import CONTRACT, For, WithPerson, kept
from services.identity.goals.rules import REMEMBER_DELETED
from services.identity.tables.metadata import METADATA

GOALS = Table(
    "goals",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("goal_id", Uuid, primary_key=True),
    # Of what its creation asked for: tells a repeat from another request.
    Column("request_hash", LargeBinary, nullable=False),
    Column("title", Text, nullable=False),
    # Which of the kinds below it is; numbered as the contract's oneof.
    Column("kind", SmallInteger, nullable=False),
    Column("event_name", Text),
    Column("sport", SmallInteger),
    Column("distance_m", Double),
    Column("duration_s", Double),
    Column("period", SmallInteger),
    Column("weight_kg", Double),
    Column("target_date", Date),
    Column("state", SmallInteger, nullable=False),
    Column("achieved_at", DateTime(timezone=True)),
    Column("version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    # What it said is gone then; the row answers repeats for a while.
    Column("deleted_at", DateTime(timezone=True)),
    info=kept(
        WithPerson(CONTRACT),
        For(REMEMBER_DELETED, "deleted_at", "emptied: repeats find it", by="forget goals"),
    ),
)
