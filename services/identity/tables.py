"""The tables of identity. `migrations` makes them; the stores of the capabilities use them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, Table, Text, Uuid

METADATA = MetaData()

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    # The address as it is compared: unique.
    Column("email_key", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

PROFILES = Table(
    "profiles",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("bio", Text, nullable=False),
    # Counts the changes, each of which is published: etag and event version at once.
    Column("version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("session_id", Uuid, primary_key=True),
    # Each refresh token follows from the one before it and this key.
    Column("chain_key", LargeBinary, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("previous_hash", LargeBinary),
    Column("rotated_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_why", Text),
)

SIGNING_KEYS = Table(
    "signing_keys",
    METADATA,
    Column("key_id", Text, primary_key=True),
    Column("private_key", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False),
)
