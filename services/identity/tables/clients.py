"""Apps of others and service accounts, and the JWTs by which they proved themselves."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime.kept import CONTRACT, SECURITY, For, WithPerson, kept
from services.identity.tables.metadata import METADATA

CLIENTS = Table(
    "clients",
    METADATA,
    # Who answers for it; all zeros of a service account.
    Column("user_id", Uuid, primary_key=True),
    Column("client_id", Uuid, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("redirect_uris", ARRAY(Text), nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("authentication", SmallInteger, nullable=False),
    # Random, one for all apps of whoever answers for them: people have other numbers in each.
    Column("sector", Uuid, nullable=False),
    # A JWK set, public keys only; empty where there is none.
    Column("jwks", Text, nullable=False),
    Column("secret_hash", LargeBinary),
    Column("secret_at", DateTime(timezone=True)),
    # The secret before, good until a time.
    Column("old_secret_hash", LargeBinary),
    Column("old_secret_at", DateTime(timezone=True)),
    Column("old_secret_until", DateTime(timezone=True)),
    Column("request_hash", LargeBinary, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    # Once set, it is gone for everybody but the job that ends what it was given.
    Column("ended_at", DateTime(timezone=True)),
    info=kept(WithPerson(CONTRACT)),
)

CLIENT_ASSERTIONS = Table(
    "client_assertions",
    METADATA,
    Column("client_id", Uuid, primary_key=True),
    Column("jti_hash", LargeBinary, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    info=kept(For(timedelta(), "expires_at", SECURITY, by="forget client assertions")),
)
