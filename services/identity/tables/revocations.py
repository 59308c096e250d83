"""What is no longer believed, and how people stand."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import BigInteger, Column, DateTime, Table, Text, Uuid

from mesh.runtime.kept import SECURITY, For, WithPerson, kept
from services.identity.tables.metadata import METADATA

REVOCATIONS = Table(
    "revocations",
    METADATA,
    # Of a withdrawn key, which is nobody's, the nil UUID.
    Column("user_id", Uuid, primary_key=True),
    # `session/{session}`, `generation`, `key/{key}`.
    Column("subject", Text, primary_key=True),
    # The first generation of the user's tokens that is believed.
    Column("generation", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    info=kept(For(timedelta(), "expires_at", SECURITY, by="forget revocations")),
)

STANDINGS = Table(
    "standings",
    METADATA,
    # A person, or a service account.
    Column("user_id", Uuid, primary_key=True),
    # Counts the changes after which older tokens are not believed; no row is none.
    Column("generation", BigInteger, nullable=False),
    # Of the block that holds, or held last; by whom and why is in `blocks`.
    Column("blocked_at", DateTime(timezone=True)),
    # NULL is for good.
    Column("blocked_until", DateTime(timezone=True)),
    info=kept(WithPerson(SECURITY)),
)
