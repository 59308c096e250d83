"""Who is who in the shop, sign-ins on their way, and the shop's sessions that ours came from."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Column, DateTime, LargeBinary, Table, Text, Uuid

from mesh.runtime.kept import CONTRACT, SECURITY, For, WithPerson, kept
from services.identity.tables.metadata import METADATA

SSO_LINKS = Table(
    "sso_links",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("issuer", Text, nullable=False),
    # The shop's number of the person; unique with the issuer.
    Column("subject", Text, nullable=False),
    # The shop's tokens, sealed; what is read of the person is read with them.
    Column("tokens", LargeBinary),
    # Until when one process renews them, and the others wait.
    Column("renewing_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    info=kept(WithPerson(CONTRACT)),
)

SSO_SESSIONS = Table(
    "sso_sessions",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("session_id", Uuid, primary_key=True),
    # The shop's session; empty where it does not tell.
    Column("sid", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    info=kept(WithPerson(SECURITY)),
)

SSO_ATTEMPTS = Table(
    "sso_attempts",
    METADATA,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("binding_hash", LargeBinary, nullable=False),
    # Nonce and code verifier, sealed.
    Column("secrets", LargeBinary, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    info=kept(For(timedelta(), "expires_at", SECURITY, by="forget shop sign-ins")),
)

SSO_LOGOUTS = Table(
    "sso_logouts",
    METADATA,
    Column("jti_hash", LargeBinary, primary_key=True),
    # Whom it was about, hashed; empty where it named none. For sign-ins that wait for their
    # second factor meanwhile.
    Column("subject_hash", LargeBinary, nullable=False),
    Column("sid_hash", LargeBinary, nullable=False),
    Column("came_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    info=kept(For(timedelta(), "expires_at", SECURITY, by="forget shop sign-ins")),
)
