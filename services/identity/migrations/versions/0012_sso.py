"""Signing in with the shop."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE sso_links (
            user_id uuid PRIMARY KEY REFERENCES accounts,
            issuer text NOT NULL,
            subject text NOT NULL,
            tokens bytea,
            renewing_until timestamptz,
            created_at timestamptz NOT NULL,
            CONSTRAINT sso_links_subject UNIQUE (issuer, subject)
        )
    """)
    op.execute("""
        CREATE TABLE sso_sessions (
            user_id uuid NOT NULL,
            session_id uuid NOT NULL,
            sid text NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (user_id, session_id)
        )
    """)
    op.execute("CREATE INDEX sso_sessions_of_shop ON sso_sessions (sid) WHERE sid <> ''")
    op.execute("""
        CREATE TABLE sso_attempts (
            state_hash bytea PRIMARY KEY,
            binding_hash bytea NOT NULL,
            secrets bytea NOT NULL,
            redirect_uri text NOT NULL,
            expires_at timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX sso_attempts_old ON sso_attempts (expires_at)")
    op.execute("""
        CREATE TABLE sso_logouts (
            jti_hash bytea PRIMARY KEY,
            came_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX sso_logouts_old ON sso_logouts (expires_at)")
