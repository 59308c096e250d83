"""Roles that people were granted, and blocks."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, LargeBinary, SmallInteger, Table, Text, Uuid

from mesh.runtime.kept import SECURITY, WithPerson, kept
from services.identity.tables.metadata import METADATA

# One lives for a person and role; those that have ended stay, as far as they are bounded.
ROLE_GRANTS = Table(
    "role_grants",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("grant_id", Uuid, primary_key=True),
    # Tells a repeat of the request.
    Column("request_hash", LargeBinary, nullable=False),
    Column("role", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # The nil UUID is the machine's operator; NULL is somebody who was erased.
    Column("granted_by", Uuid),
    Column("granted_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    # See `services.identity.roles.rules.Ending`; 0 while it lives.
    Column("ended_how", SmallInteger, nullable=False),
    Column("ended_by", Uuid),
    Column("ended_why", Text, nullable=False),
    info=kept(WithPerson(SECURITY)),
)

# What holds now is in `standings` as well, where each sign-in looks.
BLOCKS = Table(
    "blocks",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("block_id", Uuid, primary_key=True),
    Column("reason", Text, nullable=False),
    # NULL is somebody who was erased.
    Column("blocked_by", Uuid),
    Column("blocked_at", DateTime(timezone=True), nullable=False),
    # NULL is for good.
    Column("expires_at", DateTime(timezone=True)),
    Column("lifted_at", DateTime(timezone=True)),
    Column("lifted_by", Uuid),
    Column("lifted_why", Text, nullable=False),
    info=kept(WithPerson(SECURITY)),
)
