"""The keys that sign access tokens."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, LargeBinary, Table, Text

from mesh.runtime.kept import Always, kept
from services.identity.tables.metadata import METADATA

SIGNING_KEYS = Table(
    "signing_keys",
    METADATA,
    Column("key_id", Text, primary_key=True),
    # As versions before left it, until a process reads it; NULL since.
    Column("private_key", LargeBinary),
    # The private key, sealed; NULL of a withdrawn one: it is destroyed.
    Column("sealed", LargeBinary),
    Column("public_key", LargeBinary, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False),
    Column("signs_at", DateTime(timezone=True), nullable=False),
    # Whether the private key was never in a row, or in a backup, but sealed.
    Column("always_sealed", Boolean, nullable=False),
    Column("withdrawn_at", DateTime(timezone=True)),
    Column("withdrawn_by", Text, nullable=False),
    Column("withdrawn_why", Text, nullable=False),
    info=kept(Always("few: those that are over are dropped, withdrawn ones after 30 days")),
)
