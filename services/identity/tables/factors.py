"""Second factors."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime.kept import SECURITY, For, WithPerson, kept
from services.identity.tables.metadata import METADATA

# A row for whoever ever set one up: what is asked at each sign-in, and where twins meet.
SECOND_FACTORS = Table(
    "second_factors",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # An authenticator app; its secret is sealed.
    Column("totp_id", Uuid),
    Column("totp_secret", LargeBinary),
    Column("totp_last_step", BigInteger, nullable=False),
    Column("totp_created_at", DateTime(timezone=True)),
    # Keyed hashes of the codes that are left.
    Column("recovery_hashes", ARRAY(LargeBinary), nullable=False),
    # How many rows of `passkeys` there are: bounded here, where twins meet.
    Column("passkeys", Integer, nullable=False),
    # Tries that failed one after the other, and until when there are no others.
    Column("failures", Integer, nullable=False),
    Column("throttled_until", DateTime(timezone=True), nullable=False),
    # Support's reset: when it takes effect, by whom and why it was decided.
    Column("reset_at", DateTime(timezone=True)),
    Column("reset_by", Uuid),
    Column("reset_why", Text),
    info=kept(WithPerson(SECURITY)),
)
PASSKEYS = Table(
    "passkeys",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("passkey_id", Uuid, primary_key=True),
    Column("credential_id", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("is_synced", Boolean, nullable=False),
    Column("transports", ARRAY(Text), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    info=kept(WithPerson(SECURITY)),
)
# Tickets and challenges are sealed and kept by whoever has them; here is what became of them.
USED_TICKETS = Table(
    "used_tickets",
    METADATA,
    Column("ticket_id", Uuid, primary_key=True),
    Column("tries", SmallInteger, nullable=False),
    Column("is_spent", Boolean, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    info=kept(For(timedelta(), "expires_at", SECURITY, by="tidy second factors")),
)
