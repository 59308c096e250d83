"""The tables of training. `migrations` makes them; the stores of the capabilities use them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Uuid,
)

METADATA = MetaData()

# Narrow, because every commit of live samples rewrites its row.
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("session_id", Uuid, primary_key=True),
    # The highest opening that was seen; it owns the session.
    Column("epoch", BigInteger, nullable=False),
    # All batches up to this one are durable.
    Column("last_seq", BigInteger, nullable=False),
    Column("sample_count", BigInteger, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("clock_offset_ms", BigInteger),
    Column("clock_round_trip_ms", BigInteger),
    Column("touched_at", DateTime(timezone=True), nullable=False),
    # Of the channels under which samples are stored.
    Column("fingerprint", LargeBinary, nullable=False),
    # SessionDescription of the contract, serialised.
    Column("description", LargeBinary, nullable=False),
)

# The samples of a session while it is live: a row per commit.
CHUNKS = Table(
    "chunks",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("session_id", Uuid, primary_key=True),
    Column("first_seq", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

ACTIVITIES = Table(
    "activities",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("activity_id", Uuid, primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("sport", SmallInteger, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    # Counts every change: the etag.
    Column("version", BigInteger, nullable=False),
    # Counts the changes that are published.
    Column("event_version", BigInteger, nullable=False),
    # What the activity counts for; ActivityTotals of the contract, serialised.
    Column("totals", LargeBinary),
    # Activity of the contract, serialised: lists and reads answer with it as it is.
    Column("message", LargeBinary, nullable=False),
    Column("deleted_at", DateTime(timezone=True)),
)

# The samples of a finished activity: a row per channel, one for the times.
STREAMS = Table(
    "streams",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("activity_id", Uuid, primary_key=True),
    # The channel's index in the description; -1 for the times.
    Column("channel", SmallInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# What a person's days add up to; whole numbers, so that order and repetition leave no trace.
PROGRESS_DAYS = Table(
    "progress_days",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("local_date", Date, primary_key=True),
    Column("sport", SmallInteger, primary_key=True),
    Column("activity_count", Integer, nullable=False),
    Column("elapsed_ms", BigInteger, nullable=False),
    Column("moving_ms", BigInteger, nullable=False),
    Column("distance_mm", BigInteger, nullable=False),
    Column("ascent_mm", BigInteger, nullable=False),
)
