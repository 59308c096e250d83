"""The tables of training. `migrations` makes them; the stores of the capabilities use them."""

from __future__ import annotations

from datetime import timedelta

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

from mesh.runtime.kept import CONTRACT, For, WithPerson, kept

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
    info=kept(WithPerson(f"{CONTRACT}; a device that sends again is told that all is here")),
)

# The samples of a session while it is live: a row per commit.
CHUNKS = Table(
    "chunks",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("session_id", Uuid, primary_key=True),
    Column("first_seq", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    info=kept(WithPerson(CONTRACT)),
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
    # The same as the JSON of a REST answer; absent while it is live, for its count moves.
    Column("json", LargeBinary),
    Column("deleted_at", DateTime(timezone=True)),
    # For whom it is, as the message says; 0 while its owner's default is not known.
    Column("audience", SmallInteger, nullable=False),
    info=kept(
        WithPerson(CONTRACT),
        For(timedelta(days=30), "deleted_at", "so that what shows it hears that it is gone"),
    ),
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
    info=kept(WithPerson(CONTRACT)),
)

# What others see of an activity: made when one of them first asks, good for the one version of
# it and of what is hidden.
SHOWN_ACTIVITIES = Table(
    "shown_activities",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("activity_id", Uuid, primary_key=True),
    # Of the activity that it was made from.
    Column("version", BigInteger, nullable=False),
    # A digest of the circles that were cut; empty where there were none.
    Column("circles", LargeBinary, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("json", LargeBinary, nullable=False),
    info=kept(WithPerson(CONTRACT)),
)

# How often it was told that a person's settings changed: zones that were asked for before that
# are asked for anew.
TOLD_SETTINGS = Table(
    "told_settings",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    info=kept(WithPerson(CONTRACT)),
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
    info=kept(WithPerson(CONTRACT)),
)
