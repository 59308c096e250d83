"""What people let apps do, the codes on their way, the browsers that are signed in."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Column, DateTime, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime.kept import CONTRACT, SECURITY, For, WithPerson, kept
from services.identity.oauth.rules.codes import CODE_REMEMBERED
from services.identity.tables.metadata import METADATA

GRANTS = Table(
    "grants",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("client_id", Uuid, primary_key=True),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    # Once set, the app is gone; what it was called is kept here then, but for an erased owner.
    Column("ended_at", DateTime(timezone=True)),
    Column("app_name", Text, nullable=False, server_default=""),
    info=kept(WithPerson(CONTRACT)),
)

CODES = Table(
    "authorization_codes",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("code_id", Uuid, primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("client_id", Uuid, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("challenge", Text, nullable=False),
    # For the ID token; empty where none is asked for.
    Column("nonce", Text, nullable=False),
    Column("amr", ARRAY(Text), nullable=False),
    Column("proved_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    # When it was shown a second time.
    Column("replayed_at", DateTime(timezone=True)),
    # What it gave.
    Column("session_id", Uuid),
    info=kept(
        WithPerson(SECURITY),
        For(CODE_REMEMBERED, "created_at", "a replay is told", by="forget codes and browsers"),
    ),
)

BROWSERS = Table(
    "browsers",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # The sign-in session that it is.
    Column("session_id", Uuid, primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    info=kept(
        WithPerson(SECURITY),
        For(timedelta(), "expires_at", "it is over", by="forget codes and browsers"),
    ),
)
