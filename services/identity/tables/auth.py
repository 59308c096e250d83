"""Accounts and the addresses that they are reached and found by."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Table, Text, Uuid

from mesh.runtime.kept import CONTRACT, For, WithPerson, kept
from services.identity.codes.rules import FORGOTTEN_AFTER
from services.identity.tables.metadata import METADATA

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # None where there is no password: who signs in otherwise needs none.
    Column("password_hash", Text),
    Column("password_at", DateTime(timezone=True)),
    # As told at the registration: BCP 47, and ISO 3166-1 alpha-2.
    Column("language", Text),
    Column("country", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    info=kept(WithPerson(CONTRACT)),
)

ADDRESSES = Table(
    "addresses",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("address_id", Uuid, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    # The address as it is compared; unique among those that are claimed or verified.
    Column("address_key", Text, nullable=False),
    # See `services.identity.auth.rules.State`.
    Column("state", Text, nullable=False),
    Column("is_primary", Boolean, nullable=False),
    Column("verified_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    # A removed one is kept until the letter that says so has gone there.
    Column("removed_at", DateTime(timezone=True)),
    info=kept(
        WithPerson(CONTRACT),
        For(
            FORGOTTEN_AFTER,
            "removed_at",
            "so that the letter which says so arrives",
            by="tidy addresses",
        ),
    ),
)
