"""Codes that prove an address: at most one for each purpose."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, LargeBinary, SmallInteger, Table, Text, Uuid

from mesh.runtime.kept import SECURITY, For, WithPerson, kept
from services.identity.codes.rules import FORGOTTEN_AFTER
from services.identity.tables.metadata import METADATA

CODES = Table(
    "codes",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("address_id", Uuid, primary_key=True),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    # How often in a row; the more often, the longer until the next letter.
    Column("asks", SmallInteger, nullable=False),
    # A keyed hash; None until the letter is being sent.
    Column("code_hash", LargeBinary),
    Column("expires_at", DateTime(timezone=True)),
    Column("attempts_left", SmallInteger, nullable=False),
    # Kept until it expires, so that a repeat of what it did is known as one.
    Column("used_at", DateTime(timezone=True)),
    info=kept(
        WithPerson(SECURITY),
        For(FORGOTTEN_AFTER, "expires_at", "nobody can use it any more", by="tidy letters"),
    ),
)
