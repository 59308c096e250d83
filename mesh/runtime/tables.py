"""The runtime's own tables, in each service's schema.

`mesh/runtime/migrations` makes them; the service's role owns them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)

METADATA = MetaData()

OUTBOX = Table(
    "outbox",
    METADATA,
    # Partitioned by the hour of occurred_at; published rows stay a day and can be re-sent.
    Column("position", BigInteger, Identity(), primary_key=True),
    Column("occurred_at", DateTime(timezone=True), primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("key_version", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("published_at", DateTime(timezone=True)),
)

INBOX = Table(
    "inbox",
    METADATA,
    # The newest version of each key whose effect this handler has committed.
    Column("handler", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("key_version", BigInteger, nullable=False),
)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("handler", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("key_version", BigInteger, primary_key=True),
    Column("type", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Whether the key waits for somebody to look: its later messages come here too.
    Column("parked", Boolean, nullable=False),
    Column("failed_at", DateTime(timezone=True), nullable=False),
)

AUDIT = Table(
    "audit_records",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("method", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("request_id", Text, nullable=False),
)
