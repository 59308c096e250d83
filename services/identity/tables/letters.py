"""Letters that are asked for and not yet sent."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from mesh.runtime.kept import CONTRACT, For, WithPerson, kept
from services.identity.letters.rules import DEAD_KEPT
from services.identity.tables.metadata import METADATA

LETTERS = Table(
    "letters",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("letter_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    # None is for the primary address of the moment of sending.
    Column("address_id", Uuid),
    # A few words that the letter shows, beside the address and the code.
    Column("details", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("dead_at", DateTime(timezone=True)),
    info=kept(
        WithPerson(CONTRACT),
        For(DEAD_KEPT, "dead_at", "for whoever asks why it did not arrive", by="tidy letters"),
    ),
)
