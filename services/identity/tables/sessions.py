"""Sign-in sessions."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime.kept import SECURITY, For, WithPerson, kept
from services.identity.sessions.rules import ENDED_KEPT
from services.identity.tables.metadata import METADATA

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("session_id", Uuid, primary_key=True),
    # Of sessions that were opened before the keys of chains were derived: tells their tokens.
    Column("chain_key", LargeBinary),
    Column("token_hash", LargeBinary, nullable=False),
    Column("previous_hash", LargeBinary),
    Column("rotated_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_why", Text),
    # How the person proved himself (RFC 8176), and when he last did.
    Column("amr", ARRAY(Text), nullable=False),
    Column("proved_at", DateTime(timezone=True), nullable=False),
    Column("client_id", Text, nullable=False),
    # What its tokens may do; NULL is all that the product's own apps may.
    Column("scopes", ARRAY(Text)),
    # Of the device only a name, of its address only the network.
    Column("device", Text, nullable=False),
    Column("network", Text, nullable=False),
    info=kept(
        WithPerson(SECURITY),
        For(ENDED_KEPT, "ended_at", "so that a stolen token is told from a wrong one"),
    ),
)
